/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "collector/flow.h"

#include <math.h>
#include <stdlib.h>

#include "base/number.h"
#include "tests/lib/unit.h"
#include "wire/remote_write.h"

static struct agent_roster *roster;
static struct agent_flows *flows;
static struct agent_round flow_round;
static uint16_t own_local_port;

static bool is_own(uint16_t port)
{
    return port == own_local_port;
}

static void start(void)
{
    static const uint16_t ports[] = {7777};
    roster = agent_roster_new(NULL, 0);
    own_local_port = 0;
    const struct agent_flows_setup setup = {
        .roster = roster, .ports = ports, .port_count = 1, .own_port = 9090, .is_own = is_own};
    flows = agent_flows_new(&setup);
    agent_round_init(&flow_round, roster);
}

static void stop(void)
{
    agent_round_fini(&flow_round);
    agent_flows_free(flows);
    agent_roster_free(roster);
}

/* The value of a series written as name{labels}, as one line of what the flows put; NaN if there is
 * none. */
static double value_of(const char *wanted)
{
    struct tw_buf body, text;
    double value = NAN;
    tw_buf_init(&body, 1 << 20);
    tw_buf_init(&text, 1 << 12);
    agent_round_begin(&flow_round, 1000);
    agent_flows_put(flows, &flow_round);
    agent_round_encode(&flow_round, &body);
    struct wire_write_reader reader;
    struct wire_write_entry entry;
    struct wire_label items[WIRE_LABELS_COUNT_MAX];
    size_t count;
    wire_write_reader_init(&reader, tw_buf_str(&body));
    while (wire_write_reader_next(&reader, &entry, NULL) == TW_OK && entry.kind != WIRE_WRITE_END) {
        struct wire_sample sample;
        ck_assert(wire_write_series_labels(&entry.series, items, &count, NULL) == TW_OK);
        tw_buf_clear(&text);
        wire_labels_format((struct wire_labels){items, count}, &text);
        if (strcmp(tw_buf_cstr(&text), wanted) == 0 &&
            wire_write_series_sample(&entry.series, &sample))
            value = sample.value;
    }
    tw_buf_fini(&body);
    tw_buf_fini(&text);
    return value;
}

#define RTT(direction, half, port, what)                                                           \
    value_of("tidewatch_tcp_handshake_rtt_seconds_" what "{direction=\"" direction                 \
             "\", half=\"" half "\", port=\"" port "\"}")
#define HANDSHAKES(direction, result)                                                              \
    value_of("tidewatch_tcp_handshakes_total{direction=\"" direction "\", result=\"" result "\"}")

static struct agent_packet packet(double time_s, unsigned from, unsigned to, unsigned from_port,
                                  unsigned to_port, unsigned flags, uint32_t sequence,
                                  uint32_t acknowledged)
{
    struct agent_packet p = {.time_ns = (int64_t)(time_s * 1e9),
                             .source_port = (uint16_t)from_port,
                             .target_port = (uint16_t)to_port,
                             .sequence = sequence,
                             .acknowledged = acknowledged,
                             .interface = 2,
                             .flags = (uint8_t)flags,
                             .direction = AGENT_OUT};
    p.source[15] = (uint8_t)from;
    p.target[15] = (uint8_t)to;
    return p;
}

static void see(struct agent_packet p)
{
    agent_flows_packet(flows, &p);
}

/* Client 1, server 2: SYN at 10 s, SYN/ACK 20 ms later, ACK 0.03 ms after that. */
static void handshake(double at_s, unsigned client_port, unsigned server_port, unsigned interface)
{
    struct agent_packet syn = packet(at_s, 1, 2, client_port, server_port, AGENT_TCP_SYN, 100, 0);
    struct agent_packet synack = packet(at_s + 0.02, 2, 1, server_port, client_port,
                                        AGENT_TCP_SYN | AGENT_TCP_ACK, 500, 101);
    struct agent_packet ack =
        packet(at_s + 0.02003, 1, 2, client_port, server_port, AGENT_TCP_ACK, 101, 501);
    syn.interface = synack.interface = ack.interface = interface;
    synack.direction = AGENT_IN;
    see(syn);
    see(synack);
    see(ack);
}

START_TEST(measures_both_halves)
{
    start();
    handshake(10, 40000, 443, 2);
    ck_assert(RTT("out", "server", "443", "count") == 1);
    ck_assert_double_eq_tol(RTT("out", "server", "443", "sum"), 0.02, 1e-6);
    ck_assert_double_eq_tol(RTT("out", "client", "443", "sum"), 0.00003, 1e-6);
    ck_assert(value_of("tidewatch_tcp_handshake_rtt_seconds_bucket{direction=\"out\", "
                       "half=\"server\", le=\"0.01\", port=\"443\"}") == 0);
    ck_assert(value_of("tidewatch_tcp_handshake_rtt_seconds_bucket{direction=\"out\", "
                       "half=\"server\", le=\"0.025\", port=\"443\"}") == 1);
    ck_assert(value_of("tidewatch_tcp_handshake_rtt_seconds_bucket{direction=\"out\", "
                       "half=\"server\", le=\"+Inf\", port=\"443\"}") == 1);
    ck_assert(HANDSHAKES("out", "completed") == 1);
    ck_assert(value_of("tidewatch_capture_flows") == 0);
    handshake(11, 40001, 7777, 2);
    ck_assert(RTT("out", "server", "7777", "count") == 1);
    handshake(12, 40002, 61234, 2);
    ck_assert(RTT("out", "server", "other", "count") == 1);
    stop();
}
END_TEST

START_TEST(counts_a_connection_once_over_interfaces)
{
    start();
    struct agent_packet syn = packet(10, 1, 2, 40000, 443, AGENT_TCP_SYN, 100, 0);
    see(syn);
    syn.interface = 3; /* the bridge shows it again */
    syn.time_ns += 300000;
    see(syn);
    struct agent_packet synack =
        packet(10.02, 2, 1, 443, 40000, AGENT_TCP_SYN | AGENT_TCP_ACK, 500, 101);
    synack.interface = 3;
    see(synack);
    ck_assert(isnan(RTT("out", "server", "443", "count")));
    synack.interface = 2;
    synack.time_ns += 300000;
    see(synack);
    ck_assert(RTT("out", "server", "443", "count") == 1);
    ck_assert(value_of("tidewatch_tcp_syn_retransmits_total{direction=\"out\"}") == 0);
    stop();
}
END_TEST

START_TEST(retransmitted_packets_are_not_measured)
{
    start();
    see(packet(10, 1, 2, 40000, 443, AGENT_TCP_SYN, 100, 0));
    see(packet(11, 1, 2, 40000, 443, AGENT_TCP_SYN, 100, 0));
    see(packet(11.02, 2, 1, 443, 40000, AGENT_TCP_SYN | AGENT_TCP_ACK, 500, 101));
    see(packet(12.02, 2, 1, 443, 40000, AGENT_TCP_SYN | AGENT_TCP_ACK, 500, 101));
    see(packet(12.03, 1, 2, 40000, 443, AGENT_TCP_ACK, 101, 501));
    ck_assert(isnan(RTT("out", "server", "443", "count")));
    ck_assert(isnan(RTT("out", "client", "443", "count")));
    ck_assert(HANDSHAKES("out", "completed") == 1);
    ck_assert(value_of("tidewatch_tcp_syn_retransmits_total{direction=\"out\"}") == 1);
    stop();
}
END_TEST

START_TEST(refused_and_unanswered_are_counted)
{
    start();
    see(packet(10, 1, 2, 40000, 443, AGENT_TCP_SYN, 100, 0));
    see(packet(10.1, 2, 1, 443, 40000, AGENT_TCP_RST | AGENT_TCP_ACK, 0, 101));
    ck_assert(HANDSHAKES("out", "refused") == 1);
    see(packet(11, 1, 2, 40001, 443, AGENT_TCP_SYN, 100, 0));
    agent_flows_expire(flows, INT64_C(40) * 1000000000);
    ck_assert(HANDSHAKES("out", "timeout") == 0);
    agent_flows_expire(flows, INT64_C(41) * 1000000000);
    ck_assert(HANDSHAKES("out", "timeout") == 1);
    ck_assert(value_of("tidewatch_capture_flows") == 0);
    stop();
}
END_TEST

START_TEST(strays_are_ignored)
{
    start();
    see(packet(10, 2, 1, 443, 40000, AGENT_TCP_SYN | AGENT_TCP_ACK, 500, 101));
    see(packet(10, 1, 2, 40000, 443, AGENT_TCP_ACK, 101, 501));
    see(packet(10, 1, 2, 40000, 443, AGENT_TCP_RST, 101, 501));
    see(packet(10, 1, 2, 40000, 443, AGENT_TCP_SYN, 100, 0));
    see(packet(10.1, 2, 1, 443, 40000, AGENT_TCP_SYN | AGENT_TCP_ACK, 500, 999)); /* forged */
    see(packet(10.2, 1, 2, 40000, 443, AGENT_TCP_ACK, 101, 501));
    ck_assert(HANDSHAKES("out", "completed") == 0);
    ck_assert(isnan(RTT("out", "server", "443", "count")));
    ck_assert_uint_eq(agent_flows_idle_acks(flows), 2);
    stop();
}
END_TEST

START_TEST(own_connections_are_left_out)
{
    start();
    own_local_port = 40000;
    handshake(10, 40000, 9090, 2);
    ck_assert(HANDSHAKES("out", "completed") == 0);
    handshake(11, 40001, 9090, 2);
    handshake(12, 40000, 443, 2);
    ck_assert(HANDSHAKES("out", "completed") == 2);
    stop();
}
END_TEST

START_TEST(the_table_is_bounded)
{
    start();
    for (unsigned i = 0; i < AGENT_FLOWS_MAX + 100; i++)
        see(packet(10 + i * 1e-6, 1 + i / 60000, 2, 1 + i % 60000, 443, AGENT_TCP_SYN, 100, 0));
    ck_assert(value_of("tidewatch_capture_flows") == AGENT_FLOWS_MAX);
    ck_assert(value_of("tidewatch_capture_flows_evicted_total") == 100);
    agent_flows_expire(flows, INT64_C(100) * 1000000000);
    ck_assert(value_of("tidewatch_capture_flows") == 0);
    ck_assert(HANDSHAKES("out", "timeout") == AGENT_FLOWS_MAX);
    handshake(200, 40000, 443, 2);
    ck_assert(HANDSHAKES("out", "completed") == 1);
    stop();
}
END_TEST

/* An IPv4 SYN from 192.0.2.1:40000 to 192.0.2.2:443 behind a cooked v2 header, outgoing on eth0. */
static const uint8_t frame[] = {
    0x08, 0x00, 0,    0,    0, 0, 0,    2, 0,  1, 4, 6, 2,    0xfc, 0,    0,    0,   1, 0, 0,
    0x45, 0,    0,    60,   0, 0, 0x40, 0, 64, 6, 0, 0, 192,  0,    2,    1,    192, 0, 2, 2,
    0x9c, 0x40, 0x01, 0xbb, 1, 2, 3,    4, 0,  0, 0, 0, 0xa0, 0x02, 0xff, 0xff, 0,   0, 0, 0};

START_TEST(takes_frames_apart)
{
    struct agent_packet p;
    ck_assert(agent_packet_parse(AGENT_LINK_COOKED2, frame, sizeof frame, &p));
    ck_assert_uint_eq(p.source_port, 40000);
    ck_assert_uint_eq(p.target_port, 443);
    ck_assert_uint_eq(p.sequence, 0x01020304);
    ck_assert_uint_eq(p.flags, AGENT_TCP_SYN);
    ck_assert_uint_eq(p.interface, 2);
    ck_assert_int_eq(p.direction, AGENT_OUT);
    ck_assert_uint_eq(p.source[10], 0xff);
    ck_assert_uint_eq(p.source[12], 192);
    ck_assert(agent_packet_parse(AGENT_LINK_RAW, frame + 20, sizeof frame - 20, &p));
    /* Whatever is cut off or changed, nothing is read past the end. */
    for (size_t size = 0; size < sizeof frame; size++) {
        uint8_t *copy = malloc(size + 1);
        memcpy(copy, frame, size);
        ck_assert(!agent_packet_parse(AGENT_LINK_COOKED2, copy, size, &p));
        (void)agent_packet_parse(AGENT_LINK_ETHERNET, copy, size, &p);
        (void)agent_packet_parse(AGENT_LINK_COOKED, copy, size, &p);
        free(copy);
    }
    uint64_t random = 7;
    for (int i = 0; i < 200000; i++) {
        uint8_t copy[sizeof frame];
        memcpy(copy, frame, sizeof frame);
        for (int change = 0; change < 3; change++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            copy[(random >> 33) % sizeof frame] = (uint8_t)(random >> 56);
        }
        (void)agent_packet_parse(AGENT_LINK_COOKED2, copy, sizeof copy - (random >> 20) % 50, &p);
    }
}
END_TEST

START_TEST(random_packets_keep_the_table_whole)
{
    start();
    uint64_t random = 42;
    for (int i = 0; i < 300000; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t r = random >> 16;
        struct agent_packet p = packet(10 + i * 1e-3, 1 + r % 3, 1 + r / 3 % 3, 1 + r / 9 % 50,
                                       1 + r / 450 % 50, (unsigned)(random >> 60) * 2,
                                       (uint32_t)(r / 22500 % 2), (uint32_t)(r / 45000 % 3));
        see(p);
        if (i % 1000 == 0)
            agent_flows_expire(flows, p.time_ns);
    }
    agent_flows_expire(flows, INT64_MAX);
    ck_assert(value_of("tidewatch_capture_flows") == 0);
    stop();
}
END_TEST

int main(void)
{
    const struct unit_case cases[] = {UNIT_CASE(measures_both_halves),
                                      UNIT_CASE(counts_a_connection_once_over_interfaces),
                                      UNIT_CASE(retransmitted_packets_are_not_measured),
                                      UNIT_CASE(refused_and_unanswered_are_counted),
                                      UNIT_CASE(strays_are_ignored),
                                      UNIT_CASE(own_connections_are_left_out),
                                      UNIT_CASE(the_table_is_bounded),
                                      UNIT_CASE(takes_frames_apart),
                                      UNIT_CASE(random_packets_keep_the_table_whole),
                                      {0}};
    return unit_run("collector/flow", cases);
}
