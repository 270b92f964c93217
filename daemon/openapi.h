/* SPDX-License-Identifier: Apache-2.0
 *
 * openapi: GET /api/v1/openapi.yaml, a description of the HTTP API for programs: OpenAPI 3.1,
 * or 3.2 with ?openapi_version=3.2, which knows streams of events as well.
 *
 * It is made of the routes that the router has, so that none is missing and none is invented, with
 * what openapi.tbl says of them: a sentence, parameters, and the shape of the answer in a short
 * notation (openapi_schema.h).
 */
#ifndef TW_DAEMON_OPENAPI_H
#define TW_DAEMON_OPENAPI_H

#include "base/http.h"

/* The router outlives the route, and is complete when the first request comes. */
void daemon_openapi_route(struct tw_http_router *router);

#endif
