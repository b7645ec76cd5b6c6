#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

wh_code wh_file_map(wh_map *out, const char *path, wh_err *err)
{
    *out = (wh_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return wh_err_errno(err, "cannot open %s", path);
    struct stat st;
    wh_code code = WH_OK;
    if (fstat(fd, &st) != 0) {
        code = wh_err_errno(err, "cannot read the size of %s", path);
    } else if (!S_ISREG(st.st_mode)) {
        code = wh_err_set(err, WH_ERR_IO, "%s is not a regular file", path);
    } else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) code = wh_err_errno(err, "cannot map %s", path);
        else *out = (wh_map){p, (size_t)st.st_size};
    }
    close(fd);
    return code;
}

void wh_file_unmap(wh_map *m)
{
    if (m->data) munmap((void *)(uintptr_t)m->data, m->size);
    *m = (wh_map){0};
}

void wh_file_map_release(const wh_map *m, size_t offset, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t begin = (offset + page - 1) / page * page, end = (offset + n) / page * page;
    if (begin < end) (void)madvise((void *)(uintptr_t)(m->data + begin), end - begin, MADV_DONTNEED);
}

wh_code wh_file_read(wh_buf *out, const char *path, size_t limit, wh_err *err)
{
    bool std = strcmp(path, "-") == 0;
    FILE *f = std ? stdin : fopen(path, "rbe");
    if (!f) return wh_err_errno(err, "cannot open %s", path);
    wh_code code = WH_OK;
    size_t total = 0;
    for (;;) {
        enum { CHUNK = 1 << 16 };
        if (!wh_buf_reserve(out, CHUNK)) {
            code = wh_err_set(err, WH_ERR_NOMEM, "no memory to read %s", path);
            break;
        }
        size_t n = fread(out->data + out->len, 1, CHUNK, f);
        out->len += n;
        out->data[out->len] = '\0';
        total += n;
        if (total > limit) {
            code = wh_err_set(err, WH_ERR_ARG, "%s is larger than %zu bytes", std ? "standard input" : path, limit);
            break;
        }
        if (n < CHUNK) {
            if (ferror(f)) code = wh_err_errno(err, "cannot read %s", path);
            break;
        }
    }
    if (!std) fclose(f);
    return code;
}

static wh_code write_all(int fd, const char *data, size_t n)
{
    while (n) {
        ssize_t w = write(fd, data, n);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return WH_ERR_IO;
        data += w;
        n -= (size_t)w;
    }
    return fsync(fd) == 0 ? WH_OK : WH_ERR_IO;
}

wh_code wh_file_write(const char *path, const void *data, size_t n, wh_err *err)
{
    wh_buf tmp = {0};
    wh_buf_printf(&tmp, "%s.tmp%ld", path, (long)getpid());
    if (!wh_buf_ok(&tmp)) return wh_err_set(err, WH_ERR_NOMEM, "no memory to write %s", path);
    wh_code code = WH_OK;
    struct stat st; /* renaming onto a device or a pipe would replace it */
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
        wh_buf_free(&tmp);
        return wh_err_set(err, WH_ERR_IO, "%s exists and is not a regular file", path);
    }
    int fd = open(tmp.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        code = wh_err_errno(err, "cannot create %s", tmp.data);
        wh_buf_free(&tmp);
        return code;
    }
    if (write_all(fd, data, n) != WH_OK) code = wh_err_errno(err, "cannot write %s", tmp.data);
    if (close(fd) != 0 && code == WH_OK) code = wh_err_errno(err, "cannot write %s", tmp.data);
    if (code == WH_OK && rename(tmp.data, path) != 0) code = wh_err_errno(err, "cannot rename to %s", path);
    if (code != WH_OK) unlink(tmp.data);
    wh_buf_free(&tmp);
    return code;
}

wh_code wh_file_mkdirs(const char *path, wh_err *err)
{
    char *p = wh_mem_strndup(path, strlen(path));
    if (!p) return wh_err_set(err, WH_ERR_NOMEM, "no memory for a path");
    wh_code code = WH_OK;
    for (char *s = p + 1; code == WH_OK; s++) {
        if (*s != '/' && *s != '\0') continue;
        char keep = *s;
        *s = '\0';
        if (mkdir(p, 0755) != 0 && errno != EEXIST) code = wh_err_errno(err, "cannot create the folder %s", p);
        *s = keep;
        if (!keep) break;
    }
    free(p);
    return code;
}

void wh_file_sha256(char hex[65], const void *data, size_t n)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    EVP_Digest(data, n, md, &len, EVP_sha256(), NULL);
    for (unsigned int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", i < len ? md[i] : 0);
}
