/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/number.h"
#include "collector/spool_codec.h"
#include "tests/lib/unit.h"
#include "wire/remote_write.h"

static struct agent_roster *roster;
static struct agent_round spool_round;
static struct tw_buf body;

static uint32_t add(const char *name)
{
    const struct agent_family family = {name, WIRE_TYPE_GAUGE, "help"};
    return agent_roster_add(roster, &family, NULL, 0);
}

static void start(void)
{
    roster = agent_roster_new(NULL, 0);
    agent_round_init(&spool_round, roster);
    tw_buf_init(&body, 1 << 24);
}

static void stop(void)
{
    agent_round_fini(&spool_round);
    agent_roster_free(roster);
    tw_buf_fini(&body);
}

static struct agent_spool *open_spool(const char *folder, uint64_t bytes_max)
{
    struct agent_spool *spool;
    struct tw_err err;
    unit_assert_ok(agent_spool_open(folder, bytes_max, &spool, &err), &err);
    return spool;
}

static void append(struct agent_spool *spool)
{
    struct tw_err err;
    unit_assert_ok(agent_spool_append(spool, &spool_round, &err), &err);
}

static struct agent_spool_batch read_batch(struct agent_spool *spool, uint32_t rounds_max)
{
    struct agent_spool_batch batch;
    struct tw_err err;
    tw_buf_clear(&body);
    unit_assert_ok(agent_spool_read(spool, rounds_max, &body, &batch, &err), &err);
    return batch;
}

/* The samples of a series in the body as text: "1000=1 2000=2.5 ". */
static const char *samples_of(const char *name)
{
    static char text[4096];
    struct wire_write_reader reader;
    struct wire_write_entry entry;
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    size_t count, size = 0;
    text[0] = '\0';
    wire_write_reader_init(&reader, tw_buf_str(&body));
    while (wire_write_reader_next(&reader, &entry, NULL) == TW_OK && entry.kind != WIRE_WRITE_END) {
        struct wire_sample sample;
        ck_assert(wire_write_series_labels(&entry.series, items, &count, NULL) == TW_OK);
        if (!tw_str_is(items[0].value, name))
            continue;
        while (wire_write_series_sample(&entry.series, &sample))
            size += (size_t)snprintf(text + size, sizeof text - size, "%lld=%g ",
                                     (long long)sample.time_ms, sample.value);
    }
    return text;
}

START_TEST(codec_keeps_every_bit)
{
    start();
    struct agent_spool_encoder encoder;
    struct agent_spool_decoder decoder;
    struct tw_buf payload;
    struct tw_err err;
    uint32_t series[40];
    uint64_t expected[40] = {0};
    bool there[40];
    char name[16];
    tw_buf_init(&payload, 1 << 20);
    agent_spool_encoder_init(&encoder);
    agent_spool_decoder_init(&decoder);
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "s%d", i);
        series[i] = add(name);
    }
    uint64_t random = 1;
    for (int tick = 0; tick < 500; tick++) {
        agent_round_begin(&spool_round, tick * 1000 - 250000);
        for (int i = 0; i < 40; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            unsigned kind = (random >> 40) % 8;
            there[i] = kind != 0;
            if (kind == 0)
                continue;
            if (kind == 1)
                expected[i] = random; /* any bits at all */
            else if (kind == 2)
                expected[i] = TW_STALE_BITS;
            else if (kind < 5)
                expected[i] = tw_double_bits((double)(random >> 50));
            agent_round_put(&spool_round, series[i], tw_double_from_bits(expected[i]));
        }
        tw_buf_clear(&payload);
        agent_spool_encode(&encoder, &spool_round, &payload);
        ck_assert(!agent_spool_redefines(&decoder, tw_buf_str(&payload)));
        unit_assert_ok(agent_spool_decode(&decoder, tw_buf_str(&payload), &err), &err);
        ck_assert_int_eq(decoder.time_ms, tick * 1000 - 250000);
        for (int i = 0; i < 40; i++) {
            ck_assert_int_eq(agent_bit_get(decoder.present, series[i]), there[i]);
            if (there[i])
                ck_assert_uint_eq(decoder.bits[series[i]], expected[i]);
        }
    }
    agent_spool_encoder_fini(&encoder);
    agent_spool_decoder_fini(&decoder);
    tw_buf_fini(&payload);
    stop();
}
END_TEST

/* The record that docs/format/spool.md draws: series 0 = up, value 1, at 1000 ms; then 1 again,
 * then 3. */
START_TEST(codec_golden_bytes)
{
    static const char first[] = "\x01\xe8\x03\x00\x00\x00\x00\x00\x00"
                                "\x01\x00\x10\x0a\x0e\x0a\x08__name__\x12\x02up"
                                "\x01\x00\x01\x01\x26\xf0\x3f";
    static const char second[] = "\x01\xd0\x07\x00\x00\x00\x00\x00\x00\x00\x01\x01\x00";
    static const char third[] = "\x01\xb8\x0b\x00\x00\x00\x00\x00\x00\x00\x01\x01\x01\x26\xf8\x7f";
    const struct {
        const char *bytes;
        size_t size;
        double value;
    } records[] = {
        {first, sizeof first - 1, 1}, {second, sizeof second - 1, 1}, {third, sizeof third - 1, 3}};
    start();
    struct agent_spool_encoder encoder;
    struct tw_buf payload;
    tw_buf_init(&payload, 4096);
    agent_spool_encoder_init(&encoder);
    uint32_t up = add("up");
    for (int i = 0; i < 3; i++) {
        agent_round_begin(&spool_round, 1000 * (i + 1));
        agent_round_put(&spool_round, up, records[i].value);
        tw_buf_clear(&payload);
        agent_spool_encode(&encoder, &spool_round, &payload);
        ck_assert_uint_eq(payload.size, records[i].size);
        ck_assert_mem_eq(payload.data, records[i].bytes, payload.size);
    }
    agent_spool_encoder_fini(&encoder);
    tw_buf_fini(&payload);
    stop();
}
END_TEST

START_TEST(codec_survives_hostile_records)
{
    start();
    struct agent_spool_encoder encoder;
    struct tw_buf payload;
    tw_buf_init(&payload, 1 << 16);
    agent_spool_encoder_init(&encoder);
    for (int i = 0; i < 9; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%d", i);
        uint32_t series = add(name);
        if (i == 0)
            agent_round_begin(&spool_round, 1000);
        agent_round_put(&spool_round, series, i * 1.5);
    }
    agent_spool_encode(&encoder, &spool_round, &payload);
    uint64_t random = 3;
    for (int i = 0; i < 30000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        size_t size = i < (int)payload.size ? (size_t)i : payload.size;
        char *copy = malloc(size + 1);
        memcpy(copy, payload.data, size);
        for (int change = 0; size == payload.size && change < 3; change++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            copy[(random >> 33) % size] = (char)(random >> 56);
        }
        struct agent_spool_decoder decoder;
        agent_spool_decoder_init(&decoder);
        (void)agent_spool_redefines(&decoder, (struct tw_str){copy, size});
        (void)!agent_spool_decode(&decoder, (struct tw_str){copy, size}, NULL);
        agent_spool_decoder_fini(&decoder);
        free(copy);
    }
    agent_spool_encoder_fini(&encoder);
    tw_buf_fini(&payload);
    stop();
}
END_TEST

START_TEST(first_in_first_out)
{
    start();
    char folder[512];
    snprintf(folder, sizeof folder, "%s/spool", unit_folder());
    struct agent_spool *spool = open_spool(folder, 0);
    ck_assert(agent_spool_is_empty(spool));
    uint32_t a = add("a"), b = add("b");
    for (int i = 1; i <= 5; i++) {
        agent_round_begin(&spool_round, i * 1000);
        agent_round_put(&spool_round, a, i);
        if (i != 3)
            agent_round_put(&spool_round, b, i * 0.5);
        append(spool);
    }
    struct agent_spool_batch batch = read_batch(spool, 2);
    ck_assert_uint_eq(batch.rounds, 2);
    ck_assert_uint_eq(batch.samples, 4);
    ck_assert_str_eq(samples_of("a"), "1000=1 2000=2 ");
    /* Not done: the same again, even with another size. */
    batch = read_batch(spool, 3);
    ck_assert_uint_eq(batch.rounds, 3);
    ck_assert_str_eq(samples_of("b"), "1000=0.5 2000=1 ");
    agent_spool_done(spool);
    agent_round_begin(&spool_round, 6000);
    agent_round_put(&spool_round, a, 6);
    append(spool);
    batch = read_batch(spool, 100);
    ck_assert_uint_eq(batch.rounds, 3);
    ck_assert_str_eq(samples_of("a"), "4000=4 5000=5 6000=6 ");
    ck_assert_str_eq(samples_of("b"), "4000=2 5000=2.5 ");
    agent_spool_done(spool);
    ck_assert(agent_spool_is_empty(spool));
    ck_assert_uint_eq(read_batch(spool, 10).rounds, 0);
    struct agent_spool_counts counts;
    agent_spool_get_counts(spool, &counts);
    ck_assert_uint_eq(counts.bytes, 0);
    ck_assert_uint_eq(counts.rounds_appended, 6);
    ck_assert_uint_eq(counts.rounds_dropped, 0);
    agent_spool_close(spool);
    stop();
}
END_TEST

START_TEST(goes_on_after_a_restart)
{
    start();
    struct agent_spool *spool = open_spool(unit_folder(), 0);
    uint32_t a = add("a");
    for (int i = 1; i <= 4; i++) {
        agent_round_begin(&spool_round, i * 1000);
        agent_round_put(&spool_round, a, i);
        append(spool);
    }
    ck_assert_uint_eq(read_batch(spool, 2).rounds, 2);
    agent_spool_done(spool);
    ck_assert_uint_eq(read_batch(spool, 1).rounds, 1); /* on its way when the process ends */
    agent_spool_close(spool);

    spool = open_spool(unit_folder(), 0);
    agent_round_begin(&spool_round, 5000);
    agent_round_put(&spool_round, a, 5);
    append(spool); /* into a new file */
    ck_assert_uint_eq(read_batch(spool, 10).rounds, 2);
    ck_assert_str_eq(samples_of("a"), "3000=3 4000=4 ");
    agent_spool_done(spool);
    ck_assert_uint_eq(read_batch(spool, 10).rounds, 1);
    ck_assert_str_eq(samples_of("a"), "5000=5 ");
    agent_spool_done(spool);
    ck_assert(agent_spool_is_empty(spool));
    agent_spool_close(spool);

    spool = open_spool(unit_folder(), 0);
    ck_assert(agent_spool_is_empty(spool));
    agent_spool_close(spool);
    stop();
}
END_TEST

START_TEST(a_number_may_get_another_series)
{
    start();
    struct agent_spool *spool = open_spool(unit_folder(), 0);
    uint32_t a = add("a");
    agent_round_begin(&spool_round, 1000);
    agent_round_put(&spool_round, a, 1);
    append(spool);
    agent_roster_release(roster, a);
    uint32_t b = add("b");
    ck_assert_uint_eq(a, b);
    agent_round_begin(&spool_round, 2000);
    agent_round_put(&spool_round, b, 2);
    append(spool);
    ck_assert_uint_eq(read_batch(spool, 10).rounds, 1);
    ck_assert_str_eq(samples_of("a"), "1000=1 ");
    agent_spool_done(spool);
    ck_assert_uint_eq(read_batch(spool, 10).rounds, 1);
    ck_assert_str_eq(samples_of("b"), "2000=2 ");
    agent_spool_done(spool);
    agent_spool_close(spool);
    stop();
}
END_TEST

START_TEST(drops_the_oldest_over_its_bound)
{
    start();
    struct agent_spool *spool = open_spool(unit_folder(), AGENT_SPOOL_BYTES_MIN);
    enum { SERIES = 2000, ROUNDS = 1200 };
    static uint32_t series[SERIES];
    char name[16];
    for (int i = 0; i < SERIES; i++) {
        snprintf(name, sizeof name, "s%d", i);
        series[i] = add(name);
    }
    uint64_t random = 5;
    for (int tick = 0; tick < ROUNDS; tick++) {
        agent_round_begin(&spool_round, tick * 1000);
        for (int i = 0; i < SERIES; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            agent_round_put(&spool_round, series[i], (double)(random >> 40));
        }
        append(spool);
        if (tick == 3) /* reading while the file goes away below */
            ck_assert_uint_eq(read_batch(spool, 2).rounds, 2);
    }
    struct agent_spool_counts counts;
    agent_spool_get_counts(spool, &counts);
    ck_assert_uint_le(counts.bytes, AGENT_SPOOL_BYTES_MIN + AGENT_SPOOL_FILE_BYTES);
    ck_assert_uint_gt(counts.rounds_dropped, 100);
    uint64_t disk;
    struct tw_err err;
    unit_assert_ok(tw_file_folder_bytes(unit_folder(), &disk, &err), &err);
    ck_assert_uint_le(disk, AGENT_SPOOL_BYTES_MIN + 2 * AGENT_SPOOL_FILE_BYTES);
    int64_t last_ms = -1;
    uint64_t rounds = 0;
    for (;;) {
        struct agent_spool_batch batch = read_batch(spool, 60);
        if (batch.rounds == 0)
            break;
        ck_assert_int_gt(batch.first_ms, last_ms);
        last_ms = batch.last_ms;
        rounds += batch.rounds;
        agent_spool_done(spool);
    }
    ck_assert_int_eq(last_ms, (ROUNDS - 1) * 1000);
    ck_assert_uint_eq(rounds + counts.rounds_dropped, ROUNDS);
    agent_spool_close(spool);
    stop();
}
END_TEST

/* Any bytes of a file changed or cut off: the reader ends, and what it gave before was right. */
START_TEST(damage_ends_a_file)
{
    start();
    struct tw_err err;
    struct agent_spool *spool = open_spool(unit_folder(), 0);
    uint32_t a = add("a");
    for (int i = 1; i <= 6; i++) {
        agent_round_begin(&spool_round, i * 1000);
        agent_round_put(&spool_round, a, i);
        append(spool);
    }
    agent_spool_close(spool);
    char *path = tw_file_join(unit_folder(), "0000000000000001.tws");
    struct tw_buf content, changed;
    tw_buf_init(&content, 1 << 16);
    tw_buf_init(&changed, 1 << 16);
    unit_assert_ok(tw_file_read(path, &content, &err), &err);
    for (size_t at = 0; at < content.size * 2; at++) {
        tw_buf_clear(&changed);
        tw_buf_append(&changed, content.data, at < content.size ? content.size : at - content.size);
        if (at < content.size)
            changed.data[at] ^= 0x41;
        unit_assert_ok(tw_file_replace(path, tw_buf_str(&changed), 0600, &err), &err);
        spool = open_spool(unit_folder(), 0);
        struct agent_spool_batch batch = read_batch(spool, 10);
        ck_assert_uint_lt(batch.rounds, 6);
        const char *good = "1000=1 2000=2 3000=3 4000=4 5000=5 6000=6 ";
        ck_assert_int_eq(strncmp(samples_of("a"), good, strlen(samples_of("a"))), 0);
        if (batch.rounds > 0)
            agent_spool_done(spool);
        ck_assert_uint_eq(read_batch(spool, 10).rounds, 0);
        ck_assert(agent_spool_is_empty(spool));
        agent_spool_close(spool);
        char *position = tw_file_join(unit_folder(), "position");
        unlink(position);
        free(position);
    }
    free(path);
    tw_buf_fini(&content);
    tw_buf_fini(&changed);
    stop();
}
END_TEST

START_TEST(a_folder_that_cannot_be_made_is_an_error)
{
    struct agent_spool *spool;
    struct tw_err err;
    ck_assert(agent_spool_open("/proc/nothing/spool", 0, &spool, &err) != TW_OK);
    unit_assert_contains(err.message, "/proc/nothing");
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(codec_keeps_every_bit),
                                      UNIT_CASE(codec_golden_bytes),
                                      UNIT_CASE(codec_survives_hostile_records),
                                      UNIT_CASE(first_in_first_out),
                                      UNIT_CASE(goes_on_after_a_restart),
                                      UNIT_CASE(a_number_may_get_another_series),
                                      UNIT_CASE(drops_the_oldest_over_its_bound),
                                      UNIT_CASE(damage_ends_a_file),
                                      UNIT_CASE(a_folder_that_cannot_be_made_is_an_error),
                                      {0}};
    return unit_run("collector/spool", cases);
}
