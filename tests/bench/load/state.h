/* What a load knows: its options, its connections and requests, and what it has counted. */
#ifndef STATE_H
#define STATE_H

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "histogram.h"
#include "json.h"

enum {
    TOKEN_SIZE = 13,   /* bytes of one token, "0000002a.001 " */
    LONGEST_TEXT = 4096 * TOKEN_SIZE,
    HANDSHAKES = 128,  /* at once: a gateway hangs up on the oldest of 256 strangers */
    MOST_CODES = 16,
    ROOM = 1 << 18,    /* bytes that are read at once */
};

#define NONE UINT32_MAX
#define PATIENCE 2000000000ull /* nanoseconds for a handshake */

typedef enum { AWAY, CONNECTING, UPGRADING, GREETING, UP } Stage;
typedef enum { LOST, REPEATED, WRONG, TWICE, FAILED, REFUSED, UNANSWERED, GARBLED, KINDS } Kind;

static const char *const KIND_NAMES[KINDS] = {
    "lost", "repeated", "wrong", "twice", "failed", "refused", "unanswered", "garbled",
};

typedef struct {
    uint64_t due, cut;           /* nanoseconds: when it was to leave, and when its connection was cut */
    uint32_t link, prev, next;   /* its connection, and its neighbours in there */
    uint32_t have;               /* bytes of its answer that are here and right */
    uint8_t asked, told, done;
} Request;

typedef struct {
    int fd;
    Stage stage;
    struct sockaddr_in target;
    uint64_t cut, retry, since;  /* when it was lost, when to try again, since when it tries */
    uint32_t first, tries;
    uint8_t *in, *out;
    size_t in_size, out_size, out_room;
    uint8_t dirty;
} Link;

static struct {
    const char *token;
    int plain, tokens, pause, size, turns, sessions;
    double jitter; /* seconds */
    char prefix[32];
} options;

static struct {
    uint64_t sent, answered, frames, bytes, asked_again, resumed, cuts, refused_links;
    uint64_t errors[KINDS];
    Histogram first, whole, back, after_cut, late;
} counts;

static struct {
    char name[48];
    uint64_t count;
} codes[MOST_CODES];

static Link *links;
static Request *requests;
static uint64_t known, most; /* requests so far, and at most */
static uint32_t link_count, up, *dirty, dirty_count, handshakes;
static int poll_fd;
static uint64_t now;

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static void answered_in_second(uint64_t latency);

static void count_code(Value code) {
    size_t length = code.at ? (size_t)(code.end - code.at) : 0;
    if (length > sizeof codes[0].name - 1) length = sizeof codes[0].name - 1;
    for (int i = 0; i < MOST_CODES; i++) {
        if (!codes[i].count) memcpy(codes[i].name, code.at, length);
        if (!codes[i].count || (strlen(codes[i].name) == length && !memcmp(codes[i].name, code.at, length))) {
            codes[i].count++;
            return;
        }
    }
}

#endif
