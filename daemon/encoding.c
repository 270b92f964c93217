/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/encoding.h"

#include <string.h>
#include <strings.h>

#include "base/number.h"

#define GZIP_BYTES_MIN 1400 /* below, the answer fits one packet anyway */

static bool is_text(const char *content_type)
{
    static const char *const kinds[] = {
        "text/",           "application/json", "application/javascript",
        "application/xml", "image/svg",        "application/openmetrics"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (!strncmp(content_type, kinds[i], strlen(kinds[i])))
            return true;
    return false;
}

/* "gzip" or "*" in Accept-Encoding, unless with q=0. */
static bool accepts_gzip(const struct tw_http_request *request)
{
    struct tw_str list, item;
    if (!tw_http_header(request, "Accept-Encoding", &list))
        return false;
    while (tw_str_split(&list, ',', &item)) {
        struct tw_str name;
        if (!tw_str_split(&item, ';', &name))
            continue;
        name = tw_str_trim(name);
        if (!tw_str_is(name, "gzip") && !tw_str_is(name, "*"))
            continue;
        item = tw_str_trim(item);
        double quality;
        return !(tw_str_starts(item, TW_STR("q=")) &&
                 tw_double_parse(tw_str_slice(item, 2, item.size), &quality) && quality <= 0);
    }
    return false;
}

bool daemon_encoding_has_header(const struct tw_http_response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (response->headers[i].name.size == strlen(name) &&
            !strncasecmp(response->headers[i].name.data, name, strlen(name)))
            return true;
    return false;
}

bool daemon_encoding_wants_gzip(const struct tw_http_exchange *exchange)
{
    const struct tw_http_response *response = &exchange->response;
    return !response->body.overflow && response->body.size >= GZIP_BYTES_MIN &&
           !response->produce && response->constant.size == 0 && is_text(response->content_type) &&
           !daemon_encoding_has_header(response, "Content-Encoding") &&
           accepts_gzip(&exchange->request);
}
