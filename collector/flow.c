/* SPDX-License-Identifier: Apache-2.0
 *
 * Invariants:
 *   I1  An entry is in exactly one hash chain and in the list by age while it is used, in the free
 * list otherwise. The list by age ascends by time of the SYN. I2  A flow is bound to the interface
 * of its first SYN; packets of others are not looked at.
 */
#include "config.h"

#include "collector/flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/number.h"

/* The same packet seen twice (loopback) comes within this; TCP waits 200 ms at least to send again.
 */
#define REPEAT_NS (INT64_C(50) * 1000000)
#define NONE UINT16_MAX

static const double bounds[] = {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                0.025,   0.05,   0.1,     0.25,   0.5,   1,      3};
enum { BOUNDS = sizeof bounds / sizeof bounds[0], SERIES_OF_HISTOGRAM = BOUNDS + 3 };

/* Services whose port is worth a label everywhere. */
static const uint16_t known_ports[] = {22,   25,   53,   80,   110,   143,   389,  443,
                                       465,  587,  636,  993,  995,   1433,  2379, 3000,
                                       3306, 5432, 5672, 6379, 6443,  8080,  8443, 9090,
                                       9092, 9093, 9100, 9200, 10250, 11211, 27017};

enum flow_state { FLOW_SYN, FLOW_SYNACK };
enum result { RESULT_COMPLETED, RESULT_REFUSED, RESULT_TIMEOUT, RESULTS };
enum half { HALF_SERVER, HALF_CLIENT, HALVES };

struct key {
    uint8_t client[16], server[16];
    uint16_t client_port, server_port;
};

struct flow {
    struct key key;
    int64_t syn_ns, synack_ns;
    uint32_t syn_sequence, synack_sequence, interface;
    uint16_t chain, newer, older;
    uint8_t state, direction;
    bool syn_again, synack_again;
};

struct histogram {
    uint64_t buckets[BOUNDS + 1]; /* each for itself */
    double sum;
    uint32_t series[SERIES_OF_HISTOGRAM];
};

struct service {
    uint16_t port; /* 0 = other */
    uint8_t direction;
    struct histogram halves[HALVES];
};

struct agent_flows {
    struct agent_flows_setup setup;
    uint16_t ports[AGENT_FLOW_PORTS_MAX];
    size_t port_count;
    uint16_t heads[AGENT_FLOWS_MAX];
    struct flow *flows;
    uint16_t free, oldest, newest;
    uint32_t used, touched; /* entries from `touched` on were never used */
    struct service *services[AGENT_FLOW_SERVICES_MAX];
    size_t service_count;
    uint64_t results[AGENT_DIRECTIONS][RESULTS], again[AGENT_DIRECTIONS];
    uint64_t evicted, idle_acks;
    uint32_t result_series[AGENT_DIRECTIONS][RESULTS], again_series[AGENT_DIRECTIONS];
    uint32_t evicted_series, used_series;
};

static const char *const direction_names[] = {"in", "out", "local"};
static const char *const result_names[] = {"completed", "refused", "timeout"};
static const char *const half_names[] = {"server", "client"};

/* ---- frames ---- */

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

enum { ETHER_IPV4 = 0x0800, ETHER_IPV6 = 0x86dd, ETHER_VLAN = 0x8100 };
enum { ARPHRD_LOOPBACK_TYPE = 772, PACKET_OUTGOING_TYPE = 4, PROTOCOL_TCP = 6 };

static bool parse_tcp(const uint8_t *bytes, size_t size, struct agent_packet *ret)
{
    if (size < 20)
        return false;
    ret->source_port = get16(bytes);
    ret->target_port = get16(bytes + 2);
    ret->sequence = get32(bytes + 4);
    ret->acknowledged = get32(bytes + 8);
    ret->flags = bytes[13];
    return true;
}

static bool parse_ip(const uint8_t *bytes, size_t size, struct agent_packet *ret)
{
    if (size < 1)
        return false;
    if (bytes[0] >> 4 == 4) {
        size_t head = (size_t)(bytes[0] & 15) * 4;
        /* A fragment but the first has no TCP header. */
        if (size < 20 || head < 20 || size < head || bytes[9] != PROTOCOL_TCP ||
            (get16(bytes + 6) & 0x1fff) != 0)
            return false;
        static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
        memcpy(ret->source, mapped, 12);
        memcpy(ret->source + 12, bytes + 12, 4);
        memcpy(ret->target, mapped, 12);
        memcpy(ret->target + 12, bytes + 16, 4);
        return parse_tcp(bytes + head, size - head, ret);
    }
    if (bytes[0] >> 4 == 6) {
        /* Extension headers in front of TCP are rare enough to be left out. */
        if (size < 40 || bytes[6] != PROTOCOL_TCP)
            return false;
        memcpy(ret->source, bytes + 8, 16);
        memcpy(ret->target, bytes + 24, 16);
        return parse_tcp(bytes + 40, size - 40, ret);
    }
    return false;
}

static void set_direction(struct agent_packet *packet, unsigned hardware, unsigned packet_type)
{
    packet->direction = hardware == ARPHRD_LOOPBACK_TYPE      ? AGENT_LOCAL
                        : packet_type == PACKET_OUTGOING_TYPE ? AGENT_OUT
                                                              : AGENT_IN;
}

bool agent_packet_parse(int link, const uint8_t *bytes, size_t size, struct agent_packet *ret)
{
    size_t head;
    unsigned protocol;
    *ret = (struct agent_packet){.direction = AGENT_IN};
    switch (link) {
    case AGENT_LINK_COOKED2:
        head = 20;
        if (size < head)
            return false;
        protocol = get16(bytes);
        ret->interface = get32(bytes + 4);
        set_direction(ret, get16(bytes + 8), bytes[10]);
        break;
    case AGENT_LINK_COOKED:
        head = 16;
        if (size < head)
            return false;
        protocol = get16(bytes + 14);
        set_direction(ret, get16(bytes + 2), get16(bytes));
        break;
    case AGENT_LINK_ETHERNET:
        head = 14;
        if (size < head)
            return false;
        protocol = get16(bytes + 12);
        if (protocol == ETHER_VLAN && size >= 18) {
            protocol = get16(bytes + 16);
            head = 18;
        }
        break;
    case AGENT_LINK_RAW:
        return parse_ip(bytes, size, ret);
    default:
        return false;
    }
    return (protocol == ETHER_IPV4 || protocol == ETHER_IPV6) &&
           parse_ip(bytes + head, size - head, ret);
}

/* ---- the table ---- */

struct agent_flows *agent_flows_new(const struct agent_flows_setup *setup)
{
    struct agent_flows *flows = calloc(1, sizeof *flows);
    TW_ASSERT(flows != NULL);
    flows->setup = *setup;
    for (size_t i = 0; i < sizeof known_ports / sizeof known_ports[0]; i++)
        flows->ports[flows->port_count++] = known_ports[i];
    for (size_t i = 0; i < setup->port_count && flows->port_count < AGENT_FLOW_PORTS_MAX; i++)
        flows->ports[flows->port_count++] = setup->ports[i];
    flows->flows = calloc(AGENT_FLOWS_MAX, sizeof *flows->flows);
    TW_ASSERT(flows->flows != NULL);
    memset(flows->heads, 0xff, sizeof flows->heads);
    flows->free = flows->oldest = flows->newest = NONE;
    memset(flows->result_series, 0xff, sizeof flows->result_series);
    memset(flows->again_series, 0xff, sizeof flows->again_series);
    flows->evicted_series = flows->used_series = AGENT_SERIES_NONE;
    return flows;
}

struct agent_flows *agent_flows_free(struct agent_flows *flows)
{
    if (flows == NULL)
        return NULL;
    for (size_t i = 0; i < flows->service_count; i++)
        free(flows->services[i]);
    free(flows->flows);
    free(flows);
    return NULL;
}

static uint32_t bucket_of(const struct key *key)
{
    return (uint32_t)tw_hash64(key, sizeof *key) % AGENT_FLOWS_MAX;
}

static struct flow *find_flow(struct agent_flows *flows, const struct key *key)
{
    for (uint16_t at = flows->heads[bucket_of(key)]; at != NONE; at = flows->flows[at].chain)
        if (memcmp(&flows->flows[at].key, key, sizeof *key) == 0)
            return &flows->flows[at];
    return NULL;
}

static void remove_flow(struct agent_flows *flows, struct flow *flow)
{
    uint16_t index = (uint16_t)(flow - flows->flows);
    uint16_t *at = &flows->heads[bucket_of(&flow->key)];
    while (*at != index) {
        TW_ASSERT(*at != NONE); /* I1 */
        at = &flows->flows[*at].chain;
    }
    *at = flow->chain;
    *(flow->older != NONE ? &flows->flows[flow->older].newer : &flows->oldest) = flow->newer;
    *(flow->newer != NONE ? &flows->flows[flow->newer].older : &flows->newest) = flow->older;
    flow->chain = flows->free;
    flows->free = index;
    flows->used--;
}

static struct flow *add_flow(struct agent_flows *flows, const struct key *key)
{
    if (flows->free == NONE && flows->touched == AGENT_FLOWS_MAX) {
        flows->evicted++;
        remove_flow(flows, &flows->flows[flows->oldest]);
    }
    uint16_t index = flows->free;
    if (index != NONE)
        flows->free = flows->flows[index].chain;
    else
        index = (uint16_t)flows->touched++;
    struct flow *flow = &flows->flows[index];
    uint16_t *head = &flows->heads[bucket_of(key)];
    *flow = (struct flow){.key = *key, .chain = *head, .older = flows->newest, .newer = NONE};
    *head = index;
    *(flows->newest != NONE ? &flows->flows[flows->newest].newer : &flows->oldest) = index;
    flows->newest = index;
    flows->used++;
    return flow;
}

/* ---- measuring ---- */

static bool is_known_port(const struct agent_flows *flows, uint16_t port)
{
    for (size_t i = 0; i < flows->port_count; i++)
        if (flows->ports[i] == port)
            return true;
    return false;
}

static struct service *find_service(struct agent_flows *flows, uint16_t port, uint8_t direction)
{
    for (size_t i = 0; i < flows->service_count; i++)
        if (flows->services[i]->port == port && flows->services[i]->direction == direction)
            return flows->services[i];
    /* The last places are kept for "other" of each direction. */
    size_t limit = AGENT_FLOW_SERVICES_MAX - (port != 0 ? AGENT_DIRECTIONS : 0);
    if (flows->service_count >= limit)
        return find_service(flows, 0, direction);
    struct service *service = calloc(1, sizeof *service);
    TW_ASSERT(service != NULL);
    service->port = port;
    service->direction = direction;
    memset(service->halves[HALF_SERVER].series, 0xff, sizeof service->halves[0].series);
    memset(service->halves[HALF_CLIENT].series, 0xff, sizeof service->halves[0].series);
    flows->services[flows->service_count++] = service;
    return service;
}

static void observe(struct agent_flows *flows, const struct flow *flow, enum half half,
                    int64_t duration_ns)
{
    uint16_t port = flow->key.server_port;
    struct service *service =
        find_service(flows, is_known_port(flows, port) ? port : 0, flow->direction);
    struct histogram *histogram = &service->halves[half];
    double seconds = duration_ns > 0 ? (double)duration_ns / 1e9 : 0;
    size_t bucket = 0;
    while (bucket < BOUNDS && seconds > bounds[bucket])
        bucket++;
    histogram->buckets[bucket]++;
    histogram->sum += seconds;
}

static struct key key_from(const struct agent_packet *packet, bool by_client)
{
    struct key key;
    memset(&key, 0, sizeof key);
    memcpy(key.client, by_client ? packet->source : packet->target, 16);
    memcpy(key.server, by_client ? packet->target : packet->source, 16);
    key.client_port = by_client ? packet->source_port : packet->target_port;
    key.server_port = by_client ? packet->target_port : packet->source_port;
    return key;
}

static void see_syn(struct agent_flows *flows, const struct agent_packet *packet)
{
    struct key key = key_from(packet, true);
    struct flow *flow = find_flow(flows, &key);
    if (flow != NULL && flow->syn_sequence == packet->sequence) {
        if (flow->interface != packet->interface || flow->state != FLOW_SYN ||
            packet->time_ns - flow->syn_ns < REPEAT_NS)
            return;
        flow->syn_again = true;
        flows->again[flow->direction]++;
        return;
    }
    if (flow != NULL)
        remove_flow(flows, flow); /* the ports are used anew */
    if (packet->target_port == flows->setup.own_port && flows->setup.is_own != NULL &&
        flows->setup.is_own(packet->source_port))
        return;
    flow = add_flow(flows, &key);
    flow->syn_ns = packet->time_ns;
    flow->syn_sequence = packet->sequence;
    flow->interface = packet->interface;
    flow->direction = (uint8_t)packet->direction;
    flow->state = FLOW_SYN;
}

static void see_synack(struct agent_flows *flows, const struct agent_packet *packet)
{
    struct key key = key_from(packet, false);
    struct flow *flow = find_flow(flows, &key);
    if (flow == NULL || flow->interface != packet->interface ||
        packet->acknowledged != flow->syn_sequence + 1)
        return;
    if (flow->state == FLOW_SYNACK) {
        if (packet->time_ns - flow->synack_ns >= REPEAT_NS)
            flow->synack_again = true;
        return;
    }
    flow->state = FLOW_SYNACK;
    flow->synack_ns = packet->time_ns;
    flow->synack_sequence = packet->sequence;
    if (!flow->syn_again)
        observe(flows, flow, HALF_SERVER, packet->time_ns - flow->syn_ns);
}

static void see_ack(struct agent_flows *flows, const struct agent_packet *packet)
{
    struct key key = key_from(packet, true);
    struct flow *flow = find_flow(flows, &key);
    if (flow == NULL || flow->state != FLOW_SYNACK || flow->interface != packet->interface ||
        packet->acknowledged != flow->synack_sequence + 1) {
        flows->idle_acks++;
        return;
    }
    if (!flow->synack_again)
        observe(flows, flow, HALF_CLIENT, packet->time_ns - flow->synack_ns);
    flows->results[flow->direction][RESULT_COMPLETED]++;
    remove_flow(flows, flow);
}

static void see_reset(struct agent_flows *flows, const struct agent_packet *packet)
{
    struct key by_server = key_from(packet, false), by_client = key_from(packet, true);
    struct flow *flow = find_flow(flows, &by_server);
    if (flow != NULL && flow->interface == packet->interface && flow->state == FLOW_SYN)
        flows->results[flow->direction][RESULT_REFUSED]++;
    if (flow == NULL)
        flow = find_flow(flows, &by_client);
    if (flow != NULL && flow->interface == packet->interface)
        remove_flow(flows, flow);
}

void agent_flows_packet(struct agent_flows *flows, const struct agent_packet *packet)
{
    if (packet->flags & AGENT_TCP_RST)
        see_reset(flows, packet);
    else if (packet->flags & AGENT_TCP_SYN && packet->flags & AGENT_TCP_ACK)
        see_synack(flows, packet);
    else if (packet->flags & AGENT_TCP_SYN)
        see_syn(flows, packet);
    else if (packet->flags & AGENT_TCP_ACK)
        see_ack(flows, packet);
}

void agent_flows_expire(struct agent_flows *flows, int64_t now_ns)
{
    while (flows->oldest != NONE) {
        struct flow *flow = &flows->flows[flows->oldest];
        if (now_ns - flow->syn_ns < AGENT_FLOW_TIMEOUT_NS)
            break;
        /* An answered one whose ACK was not captured is no failure. */
        if (flow->state == FLOW_SYN)
            flows->results[flow->direction][RESULT_TIMEOUT]++;
        remove_flow(flows, flow);
    }
}

uint64_t agent_flows_idle_acks(const struct agent_flows *flows)
{
    return flows->idle_acks;
}

/* ---- series ---- */

static void put_histogram(struct agent_flows *flows, struct agent_round *round,
                          const struct service *service, enum half half,
                          struct histogram *histogram)
{
    static const struct agent_family families[] = {
        {"tidewatch_tcp_handshake_rtt_seconds_bucket", WIRE_TYPE_HISTOGRAM,
         "Half round trips of TCP handshakes."},
        {"tidewatch_tcp_handshake_rtt_seconds_sum", WIRE_TYPE_HISTOGRAM,
         "Half round trips of TCP handshakes."},
        {"tidewatch_tcp_handshake_rtt_seconds_count", WIRE_TYPE_HISTOGRAM,
         "Half round trips of TCP handshakes."}};
    char port[8] = "other", bound[TW_DOUBLE_BYTES];
    uint64_t count = 0;
    for (size_t i = 0; i < SERIES_OF_HISTOGRAM; i++) {
        if (i <= BOUNDS)
            count += histogram->buckets[i];
        if (histogram->series[i] == AGENT_SERIES_NONE) {
            if (service->port != 0)
                snprintf(port, sizeof port, "%u", service->port);
            tw_double_format_general(i < BOUNDS ? bounds[i] : 0, bound);
            const struct wire_label labels[] = {
                {TW_STR("direction"), tw_str(direction_names[service->direction])},
                {TW_STR("half"), tw_str(half_names[half])},
                {TW_STR("port"), tw_str(port)},
                {TW_STR("le"), i < BOUNDS ? tw_str(bound) : TW_STR("+Inf")}};
            histogram->series[i] =
                agent_roster_add(flows->setup.roster, &families[i <= BOUNDS ? 0 : i - BOUNDS],
                                 labels, i <= BOUNDS ? 4 : 3);
        }
        agent_round_put(round, histogram->series[i],
                        i == BOUNDS + 1 ? histogram->sum : (double)count);
    }
}

static void put_counter(struct agent_flows *flows, struct agent_round *round, uint32_t *series,
                        const struct agent_family *family, const char *direction,
                        const char *result, double value)
{
    const struct wire_label labels[] = {{TW_STR("direction"), tw_str(direction)},
                                        {TW_STR("result"), tw_str(result)}};
    if (*series == AGENT_SERIES_NONE)
        *series = agent_roster_add(flows->setup.roster, family, labels, 2);
    agent_round_put(round, *series, value);
}

void agent_flows_put(struct agent_flows *flows, struct agent_round *round)
{
    static const struct agent_family results = {"tidewatch_tcp_handshakes_total", WIRE_TYPE_COUNTER,
                                                "TCP handshakes seen, by how they ended."};
    static const struct agent_family again = {"tidewatch_tcp_syn_retransmits_total",
                                              WIRE_TYPE_COUNTER, "SYN packets sent again."};
    static const struct agent_family evicted = {
        "tidewatch_capture_flows_evicted_total", WIRE_TYPE_COUNTER,
        "Open handshakes forgotten because there were too many."};
    static const struct agent_family used = {"tidewatch_capture_flows", WIRE_TYPE_GAUGE,
                                             "Open handshakes."};
    for (size_t i = 0; i < flows->service_count; i++)
        for (int half = 0; half < HALVES; half++)
            put_histogram(flows, round, flows->services[i], (enum half)half,
                          &flows->services[i]->halves[half]);
    for (int d = 0; d < AGENT_DIRECTIONS; d++) {
        for (int r = 0; r < RESULTS; r++)
            put_counter(flows, round, &flows->result_series[d][r], &results, direction_names[d],
                        result_names[r], (double)flows->results[d][r]);
        put_counter(flows, round, &flows->again_series[d], &again, direction_names[d], "",
                    (double)flows->again[d]);
    }
    put_counter(flows, round, &flows->evicted_series, &evicted, "", "", (double)flows->evicted);
    put_counter(flows, round, &flows->used_series, &used, "", "", flows->used);
}
