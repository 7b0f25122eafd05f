/* A load on gateways, in an open loop: requests leave on schedule, whatever comes back.
 *
 * load TARGETS CONNECTIONS RATE SECONDS [NAME=VALUE ...], where TARGETS are PORT or ADDRESS:PORT, joined by commas, and
 * the names are tokens, pause (milliseconds between tokens), size (tokens in a delta), turns (of a conversation),
 * sessions (0: one a connection), jitter (milliseconds), grace (seconds), fixed, plain, idle (seconds without a load).
 * The token of the gateways is in LOAD_TOKEN. It prints one JSON object, and ends with its input.
 *
 * A latency counts from the moment at which its request was due, so that one who waits for a slow server is counted as
 * waiting (no coordinated omission). An answer counts if its text is whole, byte for byte, and ends once. A connection
 * that is cut is made anew at once, and what was open on it gone on with, or asked for again by the same key.
 */
#define _GNU_SOURCE
#include <math.h>
#include <sys/resource.h>

#include "client.h"

enum { SECONDS = 3600, EVENTS = 1024 };

static struct {
    uint64_t answered, worst;
} seconds[SECONDS];
static uint64_t began;
static double cpu_before; /* seconds that connecting took */

static double cpu(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void answered_in_second(uint64_t latency) {
    uint64_t at = (now - began) / 1000000000ull;
    if (at >= SECONDS) return;
    seconds[at].answered++;
    if (latency > seconds[at].worst) seconds[at].worst = latency;
}

static void wait_for(uint64_t until) {
    static struct epoll_event events[EVENTS];
    struct timespec t = {0, 0};
    if (until > now) t.tv_sec = (time_t)((until - now) / 1000000000ull), t.tv_nsec = (long)((until - now) % 1000000000ull);
    int n = epoll_pwait2(poll_fd, events, EVENTS, &t, NULL);
    now = clock_ns();
    for (int i = 0; i < n; i++) {
        Link *l = &links[events[i].data.u32];
        if (l->stage == AWAY) continue;
        if (l->stage == CONNECTING) {
            if (events[i].events & (EPOLLERR | EPOLLHUP)) turn_away(l);
            else upgrade(l);
            continue;
        }
        if (events[i].events & EPOLLOUT) listen_for(l, EPOLLIN), mark(l);
        if (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) read_from(l);
    }
}

static void flush_all(void) {
    for (uint32_t i = 0; i < dirty_count; i++) {
        Link *l = &links[dirty[i]];
        l->dirty = 0;
        if (l->out_size) flush(l);
    }
    dirty_count = 0;
}

/* Dial what is away and may try, and give up on handshakes that take too long. */
static void look_after_links(void) {
    if (up == link_count) return;
    for (uint32_t i = 0; i < link_count; i++) {
        Link *l = &links[i];
        if (l->stage == AWAY && l->retry <= now && handshakes < HANDSHAKES) dial(l);
        else if (l->stage != AWAY && l->stage != UP && now - l->since > PATIENCE) turn_away(l);
    }
}

static double setting(int count, char **words, const char *name, double otherwise) {
    size_t length = strlen(name);
    for (int i = 0; i < count; i++)
        if (!strncmp(words[i], name, length) && words[i][length] == '=') return atof(words[i] + length + 1);
    return otherwise;
}

static void make_links(const char *targets, uint32_t count) {
    struct sockaddr_in found[64];
    char words[4096];
    uint32_t known_targets = 0;
    snprintf(words, sizeof words, "%s", targets);
    for (char *word = strtok(words, ","); word && known_targets < 64; word = strtok(NULL, ",")) {
        char *colon = strchr(word, ':');
        struct sockaddr_in *a = &found[known_targets++];
        *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon ? colon + 1 : word))};
        if (colon) *colon = 0;
        if (inet_pton(AF_INET, colon ? word : "127.0.0.1", &a->sin_addr) != 1) {
            fprintf(stderr, "load: %s is no IPv4 address\n", word);
            exit(2);
        }
    }
    link_count = count;
    links = calloc(count, sizeof *links);
    dirty = calloc(count, sizeof *dirty);
    for (uint32_t i = 0; i < count; i++)
        links[i] = (Link){.fd = -1, .first = NONE, .target = found[i % known_targets]};
}

static void report(double lasted, double rate) {
    printf("{\"connections\":%u,\"rate\":%g,\"seconds\":%.3f,\"sent\":%llu,\"answered\":%llu,\"frames\":%llu,"
           "\"bytes\":%llu,\"cuts\":%llu,\"resumed\":%llu,\"asked_again\":%llu,\"turned_away\":%llu,\"cpu\":%.3f,"
           "\"availability\":%.8f,\"errors\":{",
           link_count, rate, lasted, (unsigned long long)counts.sent, (unsigned long long)counts.answered,
           (unsigned long long)counts.frames, (unsigned long long)counts.bytes, (unsigned long long)counts.cuts,
           (unsigned long long)counts.resumed, (unsigned long long)counts.asked_again,
           (unsigned long long)counts.refused_links, cpu() - cpu_before,
           counts.sent ? (double)counts.answered / (double)counts.sent : 1.0);
    for (int i = 0; i < KINDS; i++)
        printf("%s\"%s\":%llu", i ? "," : "", KIND_NAMES[i], (unsigned long long)counts.errors[i]);
    printf("},\"codes\":{");
    for (int i = 0; i < MOST_CODES && codes[i].count; i++)
        printf("%s\"%s\":%llu", i ? "," : "", codes[i].name, (unsigned long long)codes[i].count);
    printf("},");
    print_histogram("first_ms", &counts.first), printf(",");
    print_histogram("whole_ms", &counts.whole), printf(",");
    print_histogram("back_ms", &counts.back), printf(",");
    print_histogram("after_cut_ms", &counts.after_cut), printf(",");
    print_histogram("late_ms", &counts.late);
    printf(",\"each_second\":[");
    for (int i = 0; i < (int)lasted && i < SECONDS; i++)
        printf("%s[%llu,%.3f]", i ? "," : "", (unsigned long long)seconds[i].answered, (double)seconds[i].worst / 1e6);
    printf("]}\n");
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "load TARGETS CONNECTIONS RATE SECONDS [NAME=VALUE ...]\n");
        return 2;
    }
    double rate = atof(argv[3]), lasts = atof(argv[4]);
    int more = argc - 5;
    char **words = argv + 5;
    options.token = getenv("LOAD_TOKEN") ? getenv("LOAD_TOKEN") : "";
    options.tokens = (int)setting(more, words, "tokens", 4);
    options.pause = (int)setting(more, words, "pause", 0);
    options.size = (int)setting(more, words, "size", 1);
    options.turns = (int)setting(more, words, "turns", 10);
    options.sessions = (int)setting(more, words, "sessions", 0);
    options.plain = (int)setting(more, words, "plain", 0);
    options.jitter = setting(more, words, "jitter", 10) / 1000;
    double grace = setting(more, words, "grace", 10), idle = setting(more, words, "idle", 0);
    int fixed = (int)setting(more, words, "fixed", 0);
    make_links(argv[1], (uint32_t)atoi(argv[2]));
    if (!link_count || options.tokens < 1 || options.tokens > 4096) return 2;
    most = (uint64_t)(rate * lasts * 1.2) + 1000;
    requests = calloc(most, sizeof *requests);
    poll_fd = epoll_create1(0);
    now = clock_ns();
    dice ^= now * 0x9e3779b97f4a7c15ull;
    snprintf(options.prefix, sizeof options.prefix, "load%08llx", (unsigned long long)(rolled() & 0xffffffffull));

    for (uint64_t limit = now + 120000000000ull; up < link_count && now < limit;) {
        look_after_links();
        wait_for(now + 5000000);
        flush_all();
    }
    counts.refused_links = counts.cuts = 0;
    fprintf(stderr, "load: %u of %u connections are up\n", up, link_count);
    for (uint64_t end = now + (uint64_t)(idle * 1e9); now < end;) wait_for(now + 5000000), flush_all();

    cpu_before = cpu();
    began = now;
    double due = (double)began, end = due + lasts * 1e9, step = 1e9 / rate;
    while ((double)now < end + grace * 1e9 && (due < end || counts.answered < counts.sent)) {
        if (due >= end && counts.answered + counts.errors[LOST] + counts.errors[REPEATED] + counts.errors[WRONG] +
                              counts.errors[FAILED] + counts.errors[REFUSED] >= counts.sent)
            break;
        for (; due <= (double)now && due < end && known < most; due += fixed ? step : step * -log((double)(rolled() % 1000000 + 1) / 1e6))
            begin((uint64_t)due);
        look_after_links();
        flush_all();
        /* Half a millisecond of requests at once: a generator that spins would take the time of who is measured. */
        uint64_t next = due < end ? (uint64_t)due : now + 1000000;
        wait_for(next > now + 500000 ? next < now + 1000000 ? next : now + 1000000 : now + 500000);
        flush_all();
    }
    for (uint64_t n = 0; n < known; n++)
        if (!requests[n].done) counts.errors[UNANSWERED]++;
    double lasted = (double)(now - began) / 1e9;
    if (grace > 0) /* what comes twice comes late */
        for (uint64_t until = now + 200000000; now < until;) wait_for(now + 5000000), flush_all();
    report(lasted, rate);
    fflush(stdout);
    while (getchar() != EOF); /* until then the connections are there */
    return 0;
}
