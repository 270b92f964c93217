/* SPDX-License-Identifier: Apache-2.0
 *
 * rightsizing_api: GET /api/v1/rightsizing (docs/rightsizing.md).
 */
#ifndef TW_AUTOSCALER_RIGHTSIZING_API_H
#define TW_AUTOSCALER_RIGHTSIZING_API_H

#include "base/http.h"

enum tw_http_verdict scale_sizing_serve(void *manager, struct tw_http_exchange *exchange);

#endif
