/* SPDX-License-Identifier: Apache-2.0
 *
 * keeper: one thread that looks after the store once a second: opens a new segment after the log
 * failed.
 */
#include "config.h"

#include "base/assert.h"
#include "base/log.h"
#include "tsdb/db_int.h"

#define ROUND_NS INT64_C(1000000000)

enum tw_code tsdb_keeper_rotate(struct tsdb_db *db, struct tw_err *err)
{
    tw_lock_take(&db->lock);
    uint64_t number = db->next_number++;
    tw_lock_release(&db->lock);
    struct tsdb_generation *generation = tsdb_generation_new(db, number);
    enum tw_code code = tsdb_segment_create(db->log_folder, number, &generation->segment, err);
    if (code != TW_OK) {
        tsdb_generation_free(generation);
        return code;
    }
    tw_lock_take(&db->lock);
    tsdb_db_retire_active_locked(db);
    tsdb_db_append_generation_locked(db, generation);
    db->active = generation;
    db->state = TW_OK;
    tw_lock_release(&db->lock);
    return TW_OK;
}

enum tw_code tsdb_db_keep(struct tsdb_db *db, struct tw_err *err)
{
    tw_lock_take(&db->keeping);
    tw_lock_take(&db->lock);
    bool renew = db->active == NULL;
    tw_lock_release(&db->lock);
    enum tw_code code = renew ? tsdb_keeper_rotate(db, err) : TW_OK;
    tw_lock_release(&db->keeping);
    return code;
}

enum tw_code tsdb_db_flush(struct tsdb_db *db, struct tw_err *err)
{
    return tsdb_db_keep(db, err);
}

void tsdb_keeper_body(void *argument)
{
    struct tsdb_db *db = argument;
    tw_lock_take(&db->lock);
    while (!db->keeper_ends) {
        tw_cond_wait_ns(&db->keep, &db->lock, ROUND_NS);
        if (db->keeper_ends)
            break;
        tw_lock_release(&db->lock);
        struct tw_err err;
        if (tsdb_db_keep(db, &err) != TW_OK)
            tw_log(TW_LOG_ERROR, "tsdb.keeper", "cannot look after the store, trying again",
                   "err=%s", tw_log_quote(tw_str(err.message)));
        tw_lock_take(&db->lock);
    }
    tw_lock_release(&db->lock);
}
