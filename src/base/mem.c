#include "base/mem.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

static atomic_long fail_after = -1;
static atomic_size_t count;

static bool refuse(void)
{
    atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
    if (atomic_load_explicit(&fail_after, memory_order_relaxed) < 0) return false;
    return atomic_fetch_sub(&fail_after, 1) == 0;
}

bool wh_mem_mul(size_t *out, size_t a, size_t b)
{
    if (b && a > SIZE_MAX / b) return false;
    *out = a * b;
    return true;
}

bool wh_mem_add(size_t *out, size_t a, size_t b)
{
    if (a > SIZE_MAX - b) return false;
    *out = a + b;
    return true;
}

void *wh_mem_alloc(size_t n, size_t size)
{
    size_t bytes;
    if (!wh_mem_mul(&bytes, n, size) || refuse()) return NULL;
    return malloc(bytes ? bytes : 1);
}

void *wh_mem_zalloc(size_t n, size_t size)
{
    size_t bytes;
    if (!wh_mem_mul(&bytes, n, size) || refuse()) return NULL;
    return calloc(bytes ? bytes : 1, 1);
}

void *wh_mem_alloc_aligned(size_t n, size_t size)
{
    enum { LINE = 64, HUGE_PAGE = 2 << 20 };
    size_t bytes;
    if (!wh_mem_mul(&bytes, n, size) || refuse()) return NULL;
    size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : LINE;
    if (!wh_mem_add(&bytes, bytes, align)) return NULL;
    bytes = bytes / align * align;
    if (!bytes) bytes = align;
    void *p = aligned_alloc(align, bytes);
#ifdef MADV_HUGEPAGE
    if (p && align == HUGE_PAGE) (void)madvise(p, bytes, MADV_HUGEPAGE); /* a hint: failing costs only speed */
#endif
    return p;
}

void *wh_mem_resize(void *p, size_t n, size_t size)
{
    size_t bytes;
    if (!wh_mem_mul(&bytes, n, size) || refuse()) return NULL;
    return realloc(p, bytes ? bytes : 1);
}

char *wh_mem_strndup(const char *s, size_t n)
{
    size_t bytes;
    char *p = wh_mem_add(&bytes, n, 1) ? wh_mem_alloc(bytes, 1) : NULL;
    if (!p) return NULL;
    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

size_t wh_mem_available(void)
{
    size_t bytes = (size_t)1 << 30;
    FILE *f = fopen("/proc/meminfo", "re");
    if (!f) return bytes;
    char line[128];
    unsigned long long kib;
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) bytes = (size_t)kib << 10;
    fclose(f);
    return bytes;
}

void wh_mem_fail_after(long k) { atomic_store(&fail_after, k); }

size_t wh_mem_count(void) { return atomic_load(&count); }
