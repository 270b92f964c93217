/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "base/context.h"

void tw_context_init(struct tw_context *context, struct tw_clock *clock)
{
    *context = (struct tw_context){
        .tenant = TW_STR("default"), .clock = clock, .deadline_mono_ns = INT64_MAX};
}

void tw_context_cancel(struct tw_context *context)
{
    atomic_store_explicit(&context->cancelled, true, memory_order_relaxed);
}

enum tw_code tw_context_check(const struct tw_context *context, struct tw_err *err)
{
    if (atomic_load_explicit(&context->cancelled, memory_order_relaxed))
        return tw_err_set(err, TW_CANCELLED, "the request was cancelled");
    if (context->deadline_mono_ns != INT64_MAX &&
        tw_clock_mono_ns(context->clock) > context->deadline_mono_ns)
        return tw_err_set(err, TW_TIMEOUT, "the request timed out");
    return TW_OK;
}
