/* SPDX-License-Identifier: Apache-2.0
 *
 * Invariants:
 *   I1  files[] ascends by number; all but the last are complete; the last is the one being written
 *       iff write_fd >= 0.
 *   I2  bytes of a file in files[] are whole records, so a reader below them never meets a torn one
 *       of this process.
 *   I3  the reader's state (decoder, read_offset) is the reading thread's alone; a file that was
 * dropped or finished is told to it by its number. I4  "done" is <folder>/position: file and offset
 * below which all is done. It is written without fsync: when it is lost, a batch is delivered
 * twice, which is harmless.
 */
#include "config.h"

#include "collector/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/lock.h"
#include "collector/spool_codec.h"

#define SPOOL_MAGIC 0x4153504cu
#define FILE_MAGIC "TWSPOOL1"
#define FILE_VERSION 1
#define FILE_HEAD_BYTES 24
#define RECORD_HEAD_BYTES 8
#define RECORD_BYTES_MAX ((size_t)8 << 20)
#define POSITION_BYTES 20
/* Values of a batch that is being put together: bounds the reader's memory. */
#define BATCH_BYTES_MAX ((size_t)1 << 20)
#define NAME_SUFFIX ".tws"

struct spool_file {
    uint64_t number, bytes;
    uint32_t rounds; /* appended by this process, 0 if taken over: not known then */
};

struct agent_spool {
    unsigned magic;
    char *folder;
    uint64_t bytes_max;

    struct tw_lock lock; /* files, counts, write_fd: shared by both threads */
    struct spool_file *files;
    size_t file_count, file_capacity;
    struct agent_spool_counts counts;
    uint64_t next_number;
    int write_fd;

    /* The appending thread's. */
    struct agent_spool_encoder encoder;
    struct tw_buf record;

    /* The reading thread's (I3). */
    struct agent_spool_decoder decoder;
    uint64_t read_number; /* 0 = none */
    int read_fd;
    uint64_t read_offset;              /* behind what the decoder has seen */
    uint64_t done_number, done_offset; /* I4; what lies below is decoded but not handed out */
    uint64_t batch_offset;             /* behind the last batch handed out */
    bool damaged;                      /* the file's rest is lost */
    struct tw_buf input;
};

static void put_u32(uint8_t *to, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void path_of(const struct agent_spool *spool, uint64_t number, char *ret, size_t size)
{
    snprintf(ret, size, "%s/%016" PRIx64 NAME_SUFFIX, spool->folder, number);
}

/* ---- the list of files ---- */

static void push_file_locked(struct agent_spool *spool, struct spool_file file)
{
    tw_lock_assert_held(&spool->lock);
    if (spool->file_count == spool->file_capacity) {
        spool->file_capacity = spool->file_capacity * 2 + 16;
        spool->files = realloc(spool->files, spool->file_capacity * sizeof *spool->files);
        TW_ASSERT(spool->files != NULL);
    }
    spool->files[spool->file_count++] = file;
    spool->counts.bytes += file.bytes;
    spool->counts.files = spool->file_count;
}

/* The oldest file goes; the one being written is closed with it. */
static void pop_file_locked(struct agent_spool *spool)
{
    char path[1024];
    tw_lock_assert_held(&spool->lock);
    TW_ASSERT(spool->file_count > 0);
    if (spool->file_count == 1 && spool->write_fd >= 0) {
        close(spool->write_fd);
        spool->write_fd = -1;
    }
    path_of(spool, spool->files[0].number, path, sizeof path);
    unlink(path);
    spool->counts.bytes -= spool->files[0].bytes;
    spool->file_count--;
    memmove(spool->files, spool->files + 1, spool->file_count * sizeof *spool->files);
    spool->counts.files = spool->file_count;
}

static bool parse_name(const char *name, uint64_t *ret_number)
{
    char expected[32];
    uint64_t number;
    if (sscanf(name, "%16" SCNx64, &number) != 1)
        return false;
    snprintf(expected, sizeof expected, "%016" PRIx64 NAME_SUFFIX, number);
    *ret_number = number;
    return number > 0 && strcmp(name, expected) == 0;
}

static void read_position(struct agent_spool *spool)
{
    char path[1024];
    uint8_t bytes[POSITION_BYTES + 1];
    snprintf(path, sizeof path, "%s/position", spool->folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t got = read(fd, bytes, sizeof bytes);
    close(fd);
    if (got != POSITION_BYTES || get_u32(bytes + 16) != tw_crc32c(0, bytes, 16))
        return;
    spool->done_number = get_u32(bytes) | (uint64_t)get_u32(bytes + 4) << 32;
    spool->done_offset = get_u32(bytes + 8) | (uint64_t)get_u32(bytes + 12) << 32;
}

static void write_position(const struct agent_spool *spool)
{
    char path[1024];
    uint8_t bytes[POSITION_BYTES];
    put_u32(bytes, (uint32_t)spool->done_number);
    put_u32(bytes + 4, (uint32_t)(spool->done_number >> 32));
    put_u32(bytes + 8, (uint32_t)spool->done_offset);
    put_u32(bytes + 12, (uint32_t)(spool->done_offset >> 32));
    put_u32(bytes + 16, tw_crc32c(0, bytes, 16));
    snprintf(path, sizeof path, "%s/position", spool->folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return; /* I4: harmless */
    (void)!pwrite(fd, bytes, sizeof bytes, 0);
    close(fd);
}

/* Takes over what an earlier process left. */
static enum tw_code take_over(struct agent_spool *spool, struct tw_err *err)
{
    char **names;
    size_t count;
    enum tw_code code = tw_file_list(spool->folder, &names, &count, err);
    if (code != TW_OK)
        return code;
    read_position(spool);
    spool->next_number = spool->done_number + 1;
    for (size_t i = 0; i < count; i++) {
        char path[1024];
        struct stat status;
        struct spool_file file = {0};
        if (!parse_name(names[i], &file.number))
            continue;
        path_of(spool, file.number, path, sizeof path);
        if (stat(path, &status) != 0)
            continue;
        /* Files below the position were done, and only their removal was lost. */
        if (file.number < spool->done_number) {
            unlink(path);
            continue;
        }
        file.bytes = (uint64_t)status.st_size;
        push_file_locked(spool, file);
        if (file.number >= spool->next_number)
            spool->next_number = file.number + 1;
    }
    tw_file_list_free(names, count);
    return TW_OK;
}

enum tw_code agent_spool_open(const char *folder, uint64_t bytes_max,
                              struct agent_spool **ret_spool, struct tw_err *err)
{
    enum tw_code code = tw_file_make_folder(folder, 0750, err);
    if (code != TW_OK)
        return code;
    struct agent_spool *spool = calloc(1, sizeof *spool);
    TW_ASSERT(spool != NULL);
    spool->magic = SPOOL_MAGIC;
    spool->folder = tw_str_dup(tw_str(folder));
    spool->bytes_max = bytes_max < AGENT_SPOOL_BYTES_MIN ? AGENT_SPOOL_BYTES_MIN : bytes_max;
    spool->write_fd = spool->read_fd = -1;
    tw_lock_init(&spool->lock, TW_RANK_LEAF, "agent spool");
    agent_spool_encoder_init(&spool->encoder);
    agent_spool_decoder_init(&spool->decoder);
    tw_buf_init(&spool->record, RECORD_BYTES_MAX);
    tw_buf_init(&spool->input, RECORD_BYTES_MAX);
    tw_lock_take(&spool->lock);
    code = take_over(spool, err);
    tw_lock_release(&spool->lock);
    if (code != TW_OK) {
        agent_spool_close(spool);
        return code;
    }
    *ret_spool = spool;
    return TW_OK;
}

struct agent_spool *agent_spool_close(struct agent_spool *spool)
{
    if (spool == NULL)
        return NULL;
    TW_CHECK_MAGIC(spool, SPOOL_MAGIC);
    spool->magic = 0;
    if (spool->write_fd >= 0)
        close(spool->write_fd);
    if (spool->read_fd >= 0)
        close(spool->read_fd);
    agent_spool_encoder_fini(&spool->encoder);
    agent_spool_decoder_fini(&spool->decoder);
    tw_buf_fini(&spool->record);
    tw_buf_fini(&spool->input);
    tw_lock_fini(&spool->lock);
    free(spool->files);
    free(spool->folder);
    free(spool);
    return NULL;
}

/* ---- appending ---- */

static enum tw_code start_file_locked(struct agent_spool *spool, struct tw_err *err)
{
    char path[1024];
    uint8_t head[FILE_HEAD_BYTES] = FILE_MAGIC;
    struct spool_file file = {.number = spool->next_number, .bytes = FILE_HEAD_BYTES};
    put_u32(head + 8, FILE_VERSION);
    put_u32(head + 12, FILE_VERSION); /* oldest reader */
    put_u32(head + 20, tw_crc32c(0, head, 20));
    path_of(spool, file.number, path, sizeof path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd < 0)
        return tw_err_errno(err, errno, "cannot make the spool file %s", path);
    enum tw_code code = tw_file_write_all(fd, head, sizeof head, path, err);
    if (code != TW_OK) {
        close(fd);
        unlink(path);
        return code;
    }
    agent_spool_encoder_restart(&spool->encoder);
    spool->next_number++;
    spool->write_fd = fd;
    push_file_locked(spool, file);
    return TW_OK;
}

static void close_write_locked(struct agent_spool *spool)
{
    if (spool->write_fd >= 0)
        close(spool->write_fd);
    spool->write_fd = -1;
}

/* Over the bound the oldest go, down to the one being written. */
static void drop_oldest_locked(struct agent_spool *spool)
{
    while (spool->counts.bytes > spool->bytes_max && spool->file_count > 1) {
        /* Rounds that were delivered already count as dropped too when their file is the one being
         * read: better too many than too few. A file taken over counts as one. */
        spool->counts.rounds_dropped += spool->files[0].rounds > 0 ? spool->files[0].rounds : 1;
        pop_file_locked(spool);
    }
}

static enum tw_code append_locked(struct agent_spool *spool, const struct agent_round *round,
                                  struct tw_err *err)
{
    if (spool->write_fd >= 0 && spool->files[spool->file_count - 1].bytes >= AGENT_SPOOL_FILE_BYTES)
        close_write_locked(spool);
    if (spool->write_fd < 0) {
        enum tw_code code = start_file_locked(spool, err);
        if (code != TW_OK)
            return code;
    }
    static const uint8_t room[RECORD_HEAD_BYTES];
    tw_buf_clear(&spool->record);
    tw_buf_append(&spool->record, room, sizeof room);
    agent_spool_encode(&spool->encoder, round, &spool->record);
    TW_ASSERT(!spool->record.overflow);
    uint8_t *head = (uint8_t *)spool->record.data;
    size_t payload = spool->record.size - RECORD_HEAD_BYTES;
    put_u32(head, (uint32_t)payload);
    put_u32(head + 4, tw_crc32c(0, head + RECORD_HEAD_BYTES, payload));
    struct spool_file *file = &spool->files[spool->file_count - 1];
    enum tw_code code =
        tw_file_write_all(spool->write_fd, head, spool->record.size, spool->folder, err);
    if (code != TW_OK) {
        /* The file may end in half a record now, and the encoder is ahead of it: cut and leave it.
         */
        (void)!ftruncate(spool->write_fd, (off_t)file->bytes);
        close_write_locked(spool);
        return code;
    }
    file->bytes += spool->record.size;
    file->rounds++;
    spool->counts.bytes += spool->record.size;
    spool->counts.rounds_appended++;
    drop_oldest_locked(spool);
    return TW_OK;
}

enum tw_code agent_spool_append(struct agent_spool *spool, const struct agent_round *round,
                                struct tw_err *err)
{
    TW_CHECK_MAGIC(spool, SPOOL_MAGIC);
    tw_lock_take(&spool->lock);
    enum tw_code code = append_locked(spool, round, err);
    tw_lock_release(&spool->lock);
    return code;
}

enum tw_code agent_spool_sync(struct agent_spool *spool, struct tw_err *err)
{
    TW_CHECK_MAGIC(spool, SPOOL_MAGIC);
    tw_lock_take(&spool->lock);
    int fd = spool->write_fd >= 0 ? dup(spool->write_fd) : -1;
    tw_lock_release(&spool->lock);
    if (fd < 0)
        return TW_OK;
    /* Without the lock: a slow disk must not hold the sampler. */
    enum tw_code code = TW_OK;
    if (fdatasync(fd) != 0)
        code = tw_err_errno(err, errno, "cannot sync the spool in %s", spool->folder);
    close(fd);
    return code != TW_OK ? code : tw_file_sync_folder(spool->folder, err);
}

bool agent_spool_is_empty(struct agent_spool *spool)
{
    TW_CHECK_MAGIC(spool, SPOOL_MAGIC);
    tw_lock_take(&spool->lock);
    bool empty = spool->file_count == 0;
    tw_lock_release(&spool->lock);
    return empty;
}

void agent_spool_get_counts(struct agent_spool *spool, struct agent_spool_counts *ret_counts)
{
    TW_CHECK_MAGIC(spool, SPOOL_MAGIC);
    tw_lock_take(&spool->lock);
    *ret_counts = spool->counts;
    tw_lock_release(&spool->lock);
}

/* ---- reading ---- */

static bool read_at(int fd, uint64_t offset, void *ret, size_t size)
{
    char *to = ret;
    while (size > 0) {
        ssize_t got = pread(fd, to, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return true;
}

static enum tw_code open_read(struct agent_spool *spool, uint64_t number, struct tw_err *err)
{
    char path[1024];
    uint8_t head[FILE_HEAD_BYTES];
    if (spool->read_fd >= 0)
        close(spool->read_fd);
    agent_spool_decoder_restart(&spool->decoder);
    path_of(spool, number, path, sizeof path);
    spool->read_fd = open(path, O_RDONLY | O_CLOEXEC);
    /* Out of descriptors or memory is no damage: the file stays. */
    if (spool->read_fd < 0 && errno != ENOENT)
        return tw_err_errno(err, errno, "cannot open the spool file %s", path);
    spool->read_number = number;
    spool->read_offset = spool->batch_offset = FILE_HEAD_BYTES;
    spool->damaged = spool->read_fd < 0 || !read_at(spool->read_fd, 0, head, sizeof head) ||
                     memcmp(head, FILE_MAGIC, 8) != 0 || get_u32(head + 12) > FILE_VERSION ||
                     get_u32(head + 20) != tw_crc32c(0, head, 20);
    return TW_OK;
}

/* The payload of the record at read_offset, NULL data when the file ends there; sets damaged. */
static struct tw_str read_record(struct agent_spool *spool, uint64_t file_bytes)
{
    struct tw_str none = {NULL, 0};
    uint8_t head[RECORD_HEAD_BYTES];
    if (spool->damaged || spool->read_offset >= file_bytes)
        return none;
    if (spool->read_offset + RECORD_HEAD_BYTES > file_bytes ||
        !read_at(spool->read_fd, spool->read_offset, head, sizeof head)) {
        spool->damaged = true;
        return none;
    }
    size_t size = get_u32(head);
    if (size == 0 || size > RECORD_BYTES_MAX ||
        spool->read_offset + RECORD_HEAD_BYTES + size > file_bytes) {
        spool->damaged = true;
        return none;
    }
    tw_buf_clear(&spool->input);
    char *room = tw_buf_reserve(&spool->input, size);
    if (room == NULL ||
        !read_at(spool->read_fd, spool->read_offset + RECORD_HEAD_BYTES, room, size) ||
        tw_crc32c(0, room, size) != get_u32(head + 4)) {
        spool->damaged = true;
        return none;
    }
    return (struct tw_str){room, size};
}

/* Rounds of one batch, as columns: a row of values and a presence bitmap each. */
struct batch {
    uint32_t rounds, rounds_max, width;
    int64_t *times_ms;
    uint64_t *bits;
    uint8_t *present;
};

static void batch_add(struct batch *batch, const struct agent_spool_decoder *decoder)
{
    uint32_t limit = decoder->limit < batch->width ? decoder->limit : batch->width;
    batch->times_ms[batch->rounds] = decoder->time_ms;
    memcpy(batch->bits + (size_t)batch->rounds * batch->width, decoder->bits,
           limit * sizeof *batch->bits);
    memcpy(batch->present + (size_t)batch->rounds * (batch->width / 8 + 1), decoder->present,
           (limit + 7) / 8);
    /* Bits behind the limit are not the record's. */
    for (uint32_t i = limit; i < (limit + 7) / 8 * 8; i++)
        batch->present[(size_t)batch->rounds * (batch->width / 8 + 1) + i / 8] &=
            (uint8_t) ~(1u << i % 8);
    batch->rounds++;
}

static uint64_t batch_encode(const struct batch *batch, const struct agent_spool_decoder *decoder,
                             struct tw_buf *ret_body)
{
    uint64_t total = 0;
    struct wire_sample *samples = malloc((batch->rounds + 1) * sizeof *samples);
    TW_ASSERT(samples != NULL);
    for (uint32_t number = 0; number < batch->width && number < decoder->capacity; number++) {
        size_t count = 0;
        for (uint32_t r = 0; r < batch->rounds; r++) {
            if (!agent_bit_get(batch->present + (size_t)r * (batch->width / 8 + 1), number))
                continue;
            samples[count].time_ms = batch->times_ms[r];
            memcpy(&samples[count++].value, &batch->bits[(size_t)r * batch->width + number],
                   sizeof(double));
        }
        if (count > 0)
            wire_write_put_series_raw(ret_body, decoder->fields[number], samples, count);
        total += count;
    }
    free(samples);
    return total;
}

/* Decodes what is done already, so that the decoder knows it. */
static void skip_done(struct agent_spool *spool, uint64_t file_bytes)
{
    while (spool->read_number == spool->done_number && spool->read_offset < spool->done_offset &&
           !spool->damaged) {
        struct tw_str payload = read_record(spool, file_bytes);
        if (payload.data == NULL)
            break;
        if (agent_spool_decode(&spool->decoder, payload, NULL) != TW_OK)
            spool->damaged = true;
        else
            spool->read_offset += RECORD_HEAD_BYTES + payload.size;
    }
    spool->batch_offset = spool->read_offset;
}

static uint32_t collect_rounds(struct agent_spool *spool, uint64_t file_bytes, uint32_t rounds_max,
                               struct tw_buf *ret_body, struct agent_spool_batch *ret_batch)
{
    struct batch batch = {0};
    while (batch.rounds == 0 || batch.rounds < batch.rounds_max) {
        struct tw_str payload = read_record(spool, file_bytes);
        if (payload.data == NULL ||
            (batch.rounds > 0 && agent_spool_redefines(&spool->decoder, payload)))
            break;
        if (agent_spool_decode(&spool->decoder, payload, NULL) != TW_OK) {
            spool->damaged = true;
            break;
        }
        if (batch.rounds == 0) {
            /* Room for some series that come within the batch; more of them end it. */
            batch.width = spool->decoder.limit + 64;
            size_t by_memory = BATCH_BYTES_MAX / (batch.width * sizeof *batch.bits);
            batch.rounds_max = by_memory < 1 ? 1 : (uint32_t)by_memory;
            if (batch.rounds_max > rounds_max)
                batch.rounds_max = rounds_max;
            batch.times_ms = calloc(batch.rounds_max, sizeof *batch.times_ms);
            batch.bits = calloc((size_t)batch.rounds_max * batch.width, sizeof *batch.bits);
            batch.present = calloc(batch.rounds_max, batch.width / 8 + 1);
            TW_ASSERT(batch.times_ms != NULL && batch.bits != NULL && batch.present != NULL);
        }
        spool->read_offset += RECORD_HEAD_BYTES + payload.size;
        batch_add(&batch, &spool->decoder);
        if (spool->decoder.limit + 32 > batch.width)
            break; /* the next record may name series that the rows have no room for */
    }
    if (batch.rounds > 0) {
        ret_batch->rounds = batch.rounds;
        ret_batch->first_ms = batch.times_ms[0];
        ret_batch->last_ms = batch.times_ms[batch.rounds - 1];
        ret_batch->samples = batch_encode(&batch, &spool->decoder, ret_body);
    }
    free(batch.times_ms);
    free(batch.bits);
    free(batch.present);
    return batch.rounds;
}

/* The oldest file; false when there is none. */
static bool oldest_file(struct agent_spool *spool, struct spool_file *ret_file)
{
    tw_lock_take(&spool->lock);
    bool any = spool->file_count > 0;
    if (any)
        *ret_file = spool->files[0];
    tw_lock_release(&spool->lock);
    return any;
}

/* Everything of the file was done, or cannot be read. It goes, unless it grew meanwhile. */
static void finish_file(struct agent_spool *spool, const struct spool_file *file)
{
    tw_lock_take(&spool->lock);
    if (spool->damaged)
        spool->counts.files_damaged++;
    if (spool->file_count > 0 && spool->files[0].number == file->number &&
        (spool->damaged || spool->files[0].bytes == file->bytes))
        pop_file_locked(spool);
    tw_lock_release(&spool->lock);
}

enum tw_code agent_spool_read(struct agent_spool *spool, uint32_t rounds_max,
                              struct tw_buf *ret_body, struct agent_spool_batch *ret_batch,
                              struct tw_err *err)
{
    TW_CHECK_MAGIC(spool, SPOOL_MAGIC);
    TW_ASSERT(rounds_max > 0);
    *ret_batch = (struct agent_spool_batch){0};
    struct spool_file file;
    while (oldest_file(spool, &file)) {
        /* Not done, so handed out again: the decoder has gone past it and starts anew. */
        if (spool->read_number != file.number || spool->read_offset != spool->batch_offset ||
            spool->read_fd < 0) {
            enum tw_code code = open_read(spool, file.number, err);
            if (code != TW_OK)
                return code;
        }
        skip_done(spool, file.bytes);
        if (collect_rounds(spool, file.bytes, rounds_max, ret_body, ret_batch) > 0) {
            if (ret_body->overflow)
                return tw_err_set(err, TW_TOO_LARGE, "a batch of %u rounds has more than %zu bytes",
                                  ret_batch->rounds, ret_body->size_max);
            return TW_OK;
        }
        finish_file(spool, &file);
    }
    return TW_OK;
}

void agent_spool_done(struct agent_spool *spool)
{
    TW_CHECK_MAGIC(spool, SPOOL_MAGIC);
    struct spool_file file;
    spool->batch_offset = spool->read_offset;
    spool->done_number = spool->read_number;
    spool->done_offset = spool->read_offset;
    write_position(spool);
    if (oldest_file(spool, &file) && file.number == spool->read_number &&
        spool->read_offset >= file.bytes)
        finish_file(spool, &file);
}
