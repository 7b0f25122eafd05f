/* The frames of RFC 6455 as a client writes and reads them; one message in a frame, as our servers send them. */
#ifndef WEBSOCKET_H
#define WEBSOCKET_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { TEXT = 1, CLOSE = 8, PING = 9, PONG = 10, LONGEST_HEADER = 14 };

static uint64_t dice = 88172645463325252ull;

static inline uint64_t rolled(void) {
    dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
    return dice;
}

/* Write a masked frame to out, which has room for LONGEST_HEADER bytes more than the payload; gives its size. */
static inline size_t put_frame(uint8_t *out, int opcode, const char *payload, size_t size) {
    size_t at = 2;
    uint32_t mask = (uint32_t)rolled();
    out[0] = 0x80 | (uint8_t)opcode;
    if (size < 126) {
        out[1] = 0x80 | (uint8_t)size;
    } else if (size < 65536) {
        out[1] = 0x80 | 126, out[2] = (uint8_t)(size >> 8), out[3] = (uint8_t)size, at = 4;
    } else {
        out[1] = 0x80 | 127;
        for (int i = 0; i < 8; i++) out[2 + i] = (uint8_t)(size >> (56 - 8 * i));
        at = 10;
    }
    memcpy(out + at, &mask, 4), at += 4;
    for (size_t i = 0; i < size; i++) out[at + i] = (uint8_t)payload[i] ^ (uint8_t)(mask >> (8 * (i & 3)));
    return at + size;
}

/* The frame at the beginning of data: its size with the header, 0 where more has to come; where its payload is. */
static inline size_t take_frame(const uint8_t *data, size_t size, int *opcode, const char **payload, size_t *length) {
    size_t head = 2;
    if (size < 2) return 0;
    uint64_t n = data[1] & 0x7f;
    if (n == 126) {
        if (size < (head = 4)) return 0;
        n = (uint64_t)data[2] << 8 | data[3];
    } else if (n == 127) {
        if (size < (head = 10)) return 0;
        n = 0;
        for (int i = 0; i < 8; i++) n = n << 8 | data[2 + i];
    }
    if (size - head < n) return 0;
    *opcode = data[0] & 0x8f;
    *payload = (const char *)data + head;
    *length = n;
    return head + n;
}

#endif
