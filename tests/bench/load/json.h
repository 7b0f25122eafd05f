/* As much JSON as the gateway's frames need: find a member of an object, read a number, compare a string. */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A value where it stands; a string without its quotes, escapes left as they are. at is NULL where there is none. */
typedef struct {
    const char *at, *end;
} Value;

static inline const char *blank(const char *p, const char *end) {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p;
}

static inline const char *string_end(const char *p, const char *end) {
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\') p++;
    return p < end ? p + 1 : NULL;
}

/* Behind the value at p, or NULL where it is cut. */
static const char *skip(const char *p, const char *end) {
    if (p >= end) return NULL;
    if (*p == '"') return string_end(p, end);
    if (*p == '{' || *p == '[') {
        int depth = 0;
        while (p && p < end) {
            if (*p == '"') {
                p = string_end(p, end);
                continue;
            }
            if (*p == '{' || *p == '[') depth++;
            if (*p == '}' || *p == ']')
                if (--depth == 0) return p + 1;
            p++;
        }
        return NULL;
    }
    while (p < end && *p != ',' && *p != '}' && *p != ']' && *p != ' ') p++;
    return p;
}

/* The values of the named members of the object at v; 0 where that is no object. */
static int members(Value v, const char *const *names, Value *found, int count) {
    const char *p = v.at, *end = v.end;
    for (int i = 0; i < count; i++) found[i] = (Value){NULL, NULL};
    if (!p || p >= end || *p != '{') return 0;
    p = blank(p + 1, end);
    while (p < end && *p == '"') {
        const char *name = p + 1, *behind = string_end(p, end);
        if (!behind) return 0;
        size_t length = (size_t)(behind - 1 - name);
        p = blank(behind, end);
        if (p >= end || *p != ':') return 0;
        p = blank(p + 1, end);
        const char *next = skip(p, end);
        if (!next) return 0;
        for (int i = 0; i < count; i++)
            if (!strncmp(names[i], name, length) && !names[i][length])
                found[i] = *p == '"' ? (Value){p + 1, next - 1} : (Value){p, next};
        p = blank(next, end);
        if (p < end && *p == ',') p = blank(p + 1, end);
    }
    return p < end && *p == '}';
}

static inline int is(Value v, const char *word) {
    size_t length = strlen(word);
    return v.at && (size_t)(v.end - v.at) == length && !memcmp(v.at, word, length);
}

/* A whole number of 0 or more, or -1. */
static inline int64_t number(Value v) {
    int64_t n = 0;
    if (!v.at || v.at == v.end) return -1;
    for (const char *p = v.at; p < v.end; p++) {
        if (*p < '0' || *p > '9') return -1;
        n = n * 10 + (*p - '0');
    }
    return n;
}

#endif
