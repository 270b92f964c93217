/* SPDX-License-Identifier: Apache-2.0
 *
 * pages: the web pages, built from ui/src and embedded into the program; served under "/".
 */
#ifndef TW_UI_PAGES_H
#define TW_UI_PAGES_H

#include "base/http.h"

/* Adds the routes of all embedded files, with ETag, gzip and caching headers; "/" is the start
 * page, and unknown paths of pages ("/graph", "/hosts/...") give it too. Without embedded pages "/"
 * says how to build them. */
void ui_pages_route(struct tw_http_router *router);

#endif
