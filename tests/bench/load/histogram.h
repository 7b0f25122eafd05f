/* Latencies in buckets of at most 1.6 % width, from 1 microsecond to 70 minutes: what HDR histograms do. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>
#include <stdio.h>

enum { SUB = 64, BUCKETS = 27 * SUB };

typedef struct {
    uint64_t counts[BUCKETS];
    uint64_t total, max;
} Histogram;

static inline int bucket_of(uint64_t us) {
    if (us < SUB) return (int)us;
    int shift = 63 - __builtin_clzll(us) - 6;
    int index = (shift + 1) * SUB + (int)((us >> shift) - SUB);
    return index < BUCKETS ? index : BUCKETS - 1;
}

static inline void record(Histogram *h, uint64_t ns) {
    uint64_t us = ns / 1000;
    h->counts[bucket_of(us)]++;
    h->total++;
    if (us > h->max) h->max = us;
}

/* The upper edge of the bucket that holds this quantile, in milliseconds. */
static inline double quantile(const Histogram *h, double q) {
    uint64_t rank = (uint64_t)(q * (double)h->total + 0.9999999), seen = 0;
    if (rank == 0) rank = 1;
    for (int i = 0; i < BUCKETS; i++) {
        seen += h->counts[i];
        if (seen >= rank) {
            uint64_t edge = i < SUB ? (uint64_t)i + 1 : (uint64_t)(i % SUB + SUB + 1) << (i / SUB - 1);
            return (double)(edge < h->max ? edge : h->max) / 1000;
        }
    }
    return 0;
}

static inline void print_histogram(const char *name, const Histogram *h) {
    printf("\"%s\":{\"count\":%llu,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}", name,
           (unsigned long long)h->total, quantile(h, 0.5), quantile(h, 0.9), quantile(h, 0.99), quantile(h, 0.999),
           (double)h->max / 1000);
}

#endif
