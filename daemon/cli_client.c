/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "daemon/cli_client.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/http_client.h"

#define ANSWER_BYTES_MAX ((size_t)64 << 20)
/* Large stores take their time; whoever waits can break it off. */
#define TIMEOUT_MS (INT64_C(24) * 3600 * 1000)

const char *cli_server(const char *given)
{
    if (!given)
        given = getenv("TIDEWATCH_URL");
    return given && *given ? given : CLI_SERVER_DEFAULT;
}

void cli_append_encoded(struct tw_buf *form, const char *name, struct tw_str value)
{
    tw_buf_appendf(form, "%s%s=", form->size ? "&" : "", name);
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            c == '-' || c == '_' || c == '.')
            tw_buf_append_char(form, (char)c);
        else
            tw_buf_appendf(form, "%%%02X", c);
    }
}

static int take_answer(const struct cli_command *command, struct tw_str text, int status,
                       bool as_json, void (*show)(const struct tw_json *data))
{
    struct tw_json *answer;
    struct tw_err err;
    if (status == 204) /* done, and nothing to say of it */
        return CLI_OK;
    if (tw_json_parse(text, &answer, &err) != TW_OK)
        return cli_fail(command, CLI_FAILED, "the server answered %d with no JSON", status);
    int result = CLI_OK;
    if (status != 200) {
        struct tw_str reason = tw_json_string(tw_json_member(answer, "error"), TW_STR("no reason"));
        result = cli_fail(command, CLI_FAILED, "the server answered %d: %.*s", status,
                          TW_STR_ARG(reason));
    } else if (as_json) {
        printf("%.*s\n", TW_STR_ARG(text));
    } else {
        show(tw_json_member(answer, "data"));
    }
    tw_json_free(answer);
    return result;
}

int cli_ask(const struct cli_command *command, const char *given, enum tw_http_method method,
            const char *path, bool as_json, void (*show)(const struct tw_json *data))
{
    struct tw_buf url, answer;
    struct tw_err err;
    int status = 0, result;
    struct tw_str base = tw_str(cli_server(given));
    while (tw_str_ends(base, TW_STR("/")))
        base.size--;
    tw_buf_init(&url, 65536);
    tw_buf_init(&answer, ANSWER_BYTES_MAX);
    tw_buf_appendf(&url, "%.*s%s", TW_STR_ARG(base), path);
    const struct tw_http_call call = {.method = method,
                                      .url = tw_buf_cstr(&url),
                                      .timeout_ms = TIMEOUT_MS,
                                      .answer_bytes_max = ANSWER_BYTES_MAX,
                                      .ret_answer = &answer};
    struct tw_http_client *client = tw_http_client_new("tidewatch/" VERSION);
    if (tw_http_client_call(client, &call, &status, NULL, &err) != TW_OK)
        result = cli_fail(command, CLI_FAILED, "%s", err.message);
    else
        result = take_answer(command, tw_buf_str(&answer), status, as_json, show);
    tw_http_client_free(client);
    tw_buf_fini(&url);
    tw_buf_fini(&answer);
    return result;
}
