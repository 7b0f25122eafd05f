/* Connections and what is asked on them: the handshake, chat.send, and the check that each answer is whole, once. */
#ifndef CLIENT_H
#define CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "state.h"
#include "websocket.h"

/* -- writing ------------------------------------------------------------------------------------------------------ */

static void mark(Link *l) {
    if (!l->dirty) l->dirty = 1, dirty[dirty_count++] = (uint32_t)(l - links);
}

static void put(Link *l, int opcode, const char *payload, size_t size) {
    if (l->out_size + size + LONGEST_HEADER > l->out_room) {
        l->out_room = 2 * (l->out_size + size + LONGEST_HEADER);
        l->out = realloc(l->out, l->out_room);
    }
    l->out_size += put_frame(l->out + l->out_size, opcode, payload, size);
    mark(l);
}

static void listen_for(Link *l, uint32_t events) {
    struct epoll_event e = {.events = events, .data.u32 = (uint32_t)(l - links)};
    epoll_ctl(poll_fd, EPOLL_CTL_MOD, l->fd, &e);
}

static void lose(Link *l);

static void flush(Link *l) {
    if (l->stage != UP && l->stage != GREETING) return;
    ssize_t n = send(l->fd, l->out, l->out_size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) {
        lose(l);
    } else if (n >= 0 && (size_t)n == l->out_size) {
        free(l->out);
        l->out = NULL, l->out_size = l->out_room = 0;
    } else {
        if (n > 0) memmove(l->out, l->out + n, l->out_size - (size_t)n), l->out_size -= (size_t)n;
        listen_for(l, EPOLLIN | EPOLLOUT);
    }
}

/* -- requests ----------------------------------------------------------------------------------------------------- */

static void write_token(char *out, uint64_t n, uint32_t index) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 8; i++) out[i] = digits[n >> (28 - 4 * i) & 15];
    out[8] = '.', out[12] = ' ';
    for (int i = 0; i < 3; i++) out[9 + i] = digits[index >> (8 - 4 * i) & 15];
}

static char *answer_of(uint64_t n) {
    static char text[LONGEST_TEXT];
    for (int i = 0; i < options.tokens; i++) write_token(text + i * TOKEN_SIZE, n, (uint32_t)i);
    return text;
}

/* chat.send, the first time or (with more) with what is here of an answer that nobody else knows. */
static void ask(Link *l, uint64_t n, int again) {
    static char frame[LONGEST_TEXT + 1024];
    Request *r = &requests[n];
    uint32_t session = options.sessions ? (uint32_t)n % (uint32_t)options.sessions : r->link;
    /* a conversation has some turns, and then another one begins; a repeated request is in its old one */
    uint32_t turn = options.turns ? (uint32_t)(n / link_count / (uint64_t)options.turns) : 0;
    int size = snprintf(frame, sizeof frame,
                        "{\"type\":\"req\",\"id\":\"%c%llx\",\"method\":\"chat.send\",\"params\":{\"sessionKey\":"
                        "\"agent:main:%s-%u-%u\",\"message\":\"load %d %08llx %d\",\"idempotencyKey\":\"%s-%llx\","
                        "\"thinking\":\"off\",\"pace\":{\"size\":%d,\"delay\":0.02}",
                        again ? 'p' : 's', (unsigned long long)n, options.prefix, session, turn,
                        options.tokens, (unsigned long long)n, options.pause, options.prefix,
                        (unsigned long long)n, options.size);
    if (again)
        size += snprintf(frame + size, sizeof frame - (size_t)size, ",\"partial\":{\"text\":\"%.*s\",\"tokens\":%u}",
                         (int)r->have, answer_of(n), r->have / TOKEN_SIZE);
    size += snprintf(frame + size, sizeof frame - (size_t)size, "}}");
    r->asked = 1;
    put(l, TEXT, frame, (size_t)size);
}

static void resume(Link *l, uint64_t n) {
    char frame[256];
    int size = snprintf(frame, sizeof frame,
                        "{\"type\":\"req\",\"id\":\"r%llx\",\"method\":\"run.resume\",\"params\":{\"runId\":\"%s-%llx\","
                        "\"offset\":%u,\"pace\":{\"size\":%d,\"delay\":0.02}}}",
                        (unsigned long long)n, options.prefix, (unsigned long long)n, requests[n].have, options.size);
    counts.resumed++;
    put(l, TEXT, frame, (size_t)size);
}

static void begin(uint64_t due) {
    uint64_t n = known++;
    uint32_t at = (uint32_t)(n % link_count);
    Link *l = &links[at];
    requests[n] = (Request){.due = due, .link = at, .prev = NONE, .next = l->first};
    if (l->first != NONE) requests[l->first].prev = (uint32_t)n;
    l->first = (uint32_t)n;
    counts.sent++;
    record(&counts.late, now - due);
    if (l->stage == UP) ask(l, n, 0);
}

static void leave(uint64_t n) {
    Request *r = &requests[n];
    if (r->prev != NONE) requests[r->prev].next = r->next;
    else links[r->link].first = r->next;
    if (r->next != NONE) requests[r->next].prev = r->prev;
    r->done = 1;
}

static void fail(uint64_t n, Kind kind) {
    counts.errors[kind]++;
    if (!requests[n].done) leave(n);
}

/* What is open on a connection that is up again: each is gone on with where it was, or asked for once more. */
static void take_up(Link *l) {
    for (uint32_t n = l->first; n != NONE; n = requests[n].next) {
        if (options.plain) requests[n].have = 0; /* it knows nothing of what it said before */
        if (requests[n].have) {
            resume(l, n);
        } else {
            counts.asked_again += requests[n].asked;
            ask(l, n, 0);
        }
    }
}

/* -- connections -------------------------------------------------------------------------------------------------- */

static void cut(Link *l, uint64_t wait) {
    if (l->stage == AWAY) return;
    if (l->stage == UP) {
        up--, counts.cuts++, l->cut = now;
        for (uint32_t n = l->first; n != NONE; n = requests[n].next) requests[n].cut = requests[n].cut ? requests[n].cut : now;
    } else {
        handshakes--;
    }
    close(l->fd);
    free(l->in), free(l->out);
    l->in = l->out = NULL, l->in_size = l->out_size = l->out_room = 0;
    l->stage = AWAY, l->fd = -1;
    l->retry = now + wait;
}

/* Not let in, or nobody there: wait a little longer each time, by chance, and 0.2 s at most. */
static void turn_away(Link *l) {
    double base = 0.005 * (double)(1u << (l->tries < 6 ? l->tries : 6));
    l->tries++, counts.refused_links++;
    cut(l, (uint64_t)((base < 0.2 ? base : 0.2) * (0.5 + (double)(rolled() % 1024) / 1024) * 1e9));
}

static void lose(Link *l) {
    if (l->stage == UP) cut(l, (uint64_t)(options.jitter * (double)(rolled() % 1024) / 1024 * 1e9));
    else turn_away(l);
}

static void dial(Link *l) {
    int one = 1;
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (l->fd < 0) {
        l->retry = now + 10000000;
        return;
    }
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    l->stage = CONNECTING, l->since = now, handshakes++;
    struct epoll_event e = {.events = EPOLLOUT, .data.u32 = (uint32_t)(l - links)};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, l->fd, &e);
    if (connect(l->fd, (struct sockaddr *)&l->target, sizeof l->target) < 0 && errno != EINPROGRESS) turn_away(l);
}

static void upgrade(Link *l) {
    char request[256];
    int port = ntohs(l->target.sin_port);
    int size = snprintf(request, sizeof request,
                        "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: b3BlbmNsYXctbmItbG9hZA==\r\nSec-WebSocket-Version: 13\r\n\r\n", port);
    if (send(l->fd, request, (size_t)size, MSG_NOSIGNAL) != size) {
        turn_away(l);
        return;
    }
    l->stage = UPGRADING;
    listen_for(l, EPOLLIN);
}

static void arrived(Link *l) {
    l->stage = UP, l->tries = 0, up++, handshakes--;
    if (l->cut) record(&counts.back, now - l->cut), l->cut = 0;
    take_up(l);
}

static void greet(Link *l) {
    char frame[1024];
    int size = snprintf(frame, sizeof frame,
                        "{\"type\":\"req\",\"id\":\"hello\",\"method\":\"connect\",\"params\":{\"minProtocol\":3,"
                        "\"maxProtocol\":4,\"client\":{\"id\":\"gateway-client\",\"version\":\"1\",\"platform\":\"load\","
                        "\"mode\":\"backend\"},\"role\":\"operator\",\"scopes\":[\"operator.read\",\"operator.write\"],"
                        "\"caps\":[\"nb.offset\",\"nb.resume\",\"nb.batch\",\"nb.model\",\"nb.session\",\"nb.level\"],"
                        "\"auth\":{\"token\":\"%s\"}}}", options.token);
    put(l, TEXT, frame, (size_t)size);
}

/* -- answers ------------------------------------------------------------------------------------------------------ */

/* The request that a run's id or a reply's id ends with, or NULL. */
static Request *find(Value id, size_t from) {
    uint64_t n = 0;
    if (!id.at || (size_t)(id.end - id.at) <= from) return NULL;
    for (const char *p = id.at + from; p < id.end; p++) {
        int digit = *p >= '0' && *p <= '9' ? *p - '0' : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10 : -1;
        if (digit < 0) return NULL;
        n = n << 4 | (unsigned)digit;
    }
    return n < known ? &requests[n] : NULL;
}

static void take_delta(Request *r, Value text, int64_t offset) {
    uint64_t n = (uint64_t)(r - requests);
    size_t size = (size_t)(text.end - text.at);
    if (offset != r->have) {
        fail(n, offset > (int64_t)r->have ? LOST : REPEATED);
    } else if (r->have + size > (size_t)options.tokens * TOKEN_SIZE || memcmp(answer_of(n) + r->have, text.at, size)) {
        fail(n, WRONG);
    } else {
        if (!r->told) r->told = 1, record(&counts.first, now - r->due);
        r->have += (uint32_t)size;
        if (r->cut) record(&counts.after_cut, now - r->cut), r->cut = 0;
    }
}

static void take_final(Request *r, int64_t length) {
    uint64_t n = (uint64_t)(r - requests), latency = now - r->due;
    if (length != r->have || r->have != (uint32_t)(options.tokens * TOKEN_SIZE)) {
        fail(n, LOST);
        return;
    }
    leave(n);
    counts.answered++;
    record(&counts.whole, latency);
    answered_in_second(latency);
}

static void take_chat(Value payload) {
    static const char *const names[] = {"runId", "state", "deltaText", "offset", "length", "errorCode"};
    Value v[6];
    members(payload, names, v, 6);
    Request *r = find(v[0], strlen(options.prefix) + 1);
    if (!r) {
        counts.errors[GARBLED]++;
    } else if (r->done) {
        counts.errors[TWICE]++;
    } else if (is(v[1], "delta") && v[2].at) {
        take_delta(r, v[2], number(v[3]));
    } else if (is(v[1], "final")) {
        take_final(r, number(v[4]));
    } else if (!is(v[5], "GATEWAY_STOPPED")) { /* that one is asked for elsewhere, once this connection is closed */
        count_code(v[5].at ? v[5] : v[1]);
        fail((uint64_t)(r - requests), FAILED);
    }
}

static void take_reply(Link *l, Value id, int ok, Value error) {
    static const char *const names[] = {"code"};
    Value code;
    if (is(id, "hello")) {
        if (ok && l->stage == GREETING) arrived(l);
        else turn_away(l);
        return;
    }
    Request *r = find(id, 1);
    if (!r) {
        counts.errors[GARBLED]++;
    } else if (!ok && !r->done) {
        uint64_t n = (uint64_t)(r - requests);
        members(error, names, &code, 1);
        if (*id.at == 'r') {
            counts.asked_again++;
            ask(l, n, 1);
        } else if (!is(code, "GATEWAY_STOPPED")) {
            count_code(code);
            fail(n, REFUSED);
        }
    }
}

static void take_message(Link *l, const char *data, size_t size) {
    static const char *const names[] = {"type", "event", "payload", "id", "ok", "error"};
    Value v[6];
    counts.frames++;
    if (!members((Value){data, data + size}, names, v, 6)) counts.errors[GARBLED]++;
    else if (is(v[0], "res")) take_reply(l, v[3], is(v[4], "true"), v[5]);
    else if (is(v[1], "chat")) take_chat(v[2]);
    else if (is(v[1], "connect.challenge")) greet(l);
}

/* What of data was used; the link may be gone then. */
static size_t take(Link *l, const uint8_t *data, size_t size) {
    size_t used = 0, n, length;
    const char *payload;
    int opcode;
    if (l->stage == UPGRADING) {
        const uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
        if (!end) return 0;
        if (size < 12 || memcmp(data + 9, "101", 3)) {
            turn_away(l);
            return size;
        }
        used = (size_t)(end + 4 - data);
        l->stage = GREETING;
        if (options.plain) arrived(l);
    }
    while (l->stage != AWAY && (n = take_frame(data + used, size - used, &opcode, &payload, &length))) {
        used += n;
        if (opcode == 0x81) take_message(l, payload, length);
        else if (opcode == (0x80 | PING)) put(l, PONG, payload, length);
        else if (opcode == (0x80 | CLOSE)) lose(l);
        else if (opcode != (0x80 | PONG)) counts.errors[GARBLED]++, lose(l);
    }
    return used;
}

static void read_from(Link *l) {
    static uint8_t room[ROOM];
    memcpy(room, l->in, l->in_size);
    ssize_t n = recv(l->fd, room + l->in_size, ROOM - l->in_size, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
        lose(l);
        return;
    }
    counts.bytes += (uint64_t)n;
    size_t size = l->in_size + (size_t)n, used = take(l, room, size);
    if (l->stage == AWAY) return;
    free(l->in);
    l->in = NULL, l->in_size = size - used;
    if (l->in_size) l->in = memcpy(malloc(l->in_size), room + used, l->in_size);
}

#endif
