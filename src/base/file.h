/* file: whole files, mapped files, atomic replacement, SHA-256. */
#ifndef WH_BASE_FILE_H
#define WH_BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

/* A file mapped read-only. An empty file has data == NULL, size == 0. */
typedef struct wh_map {
    const unsigned char *data;
    size_t               size;
} wh_map;

wh_code wh_file_map(wh_map *out, const char *path, wh_err *err);
void    wh_file_unmap(wh_map *m);
/* Tell the system that the pages [offset, offset + n) of the mapping are not needed now. A hint. */
void wh_file_map_release(const wh_map *m, size_t offset, size_t n);

/* Append the whole file ("-": standard input) to out; refuses more than limit bytes. */
wh_code wh_file_read(wh_buf *out, const char *path, size_t limit, wh_err *err);
/* Write data to path by way of a temporary file in the same folder, fsync and rename. */
wh_code wh_file_write(const char *path, const void *data, size_t n, wh_err *err);
/* Like mkdir -p. */
wh_code wh_file_mkdirs(const char *path, wh_err *err);

/* SHA-256 of n bytes as 64 hex digits and a zero. */
void wh_file_sha256(char hex[65], const void *data, size_t n);

#endif
