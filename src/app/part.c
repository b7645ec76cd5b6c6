#include "app/part.h"

#include "app/out.h"
#include "base/clock.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static wh_code make_folder(const char *file, wh_err *err)
{
    const char *slash = strrchr(file, '/');
    if (!slash || slash == file) return WH_OK;
    wh_buf folder = {0};
    wh_buf_put(&folder, file, (size_t)(slash - file));
    wh_code code = wh_buf_ok(&folder) ? wh_file_mkdirs(wh_buf_str(&folder), err)
                                      : wh_err_set(err, WH_ERR_NOMEM, "no memory for a path");
    wh_buf_free(&folder);
    return code;
}

static wh_code check_space(const wh_part *p, wh_err *err)
{
    struct statvfs fs;
    if (fstatvfs(p->fd, &fs) != 0 || p->total <= p->have) return WH_OK;
    double left = (double)fs.f_bavail * (double)fs.f_frsize, need = (double)(p->total - p->have);
    if (left >= need) return WH_OK;
    char a[24], b[24];
    return wh_err_set(err, WH_ERR_IO, "%s needs %s more, but the disk has %s left; set WHET_MODELS to a folder with room",
                      wh_buf_str(&p->file), wh_out_bytes(a, need), wh_out_bytes(b, left));
}

static wh_code open_part(wh_part *p, wh_err *err)
{
    const char *path = wh_buf_str(&p->path);
    p->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (p->fd < 0) return wh_err_errno(err, "cannot create %s", path);
    if (flock(p->fd, LOCK_EX | LOCK_NB) != 0) return wh_err_set(err, WH_ERR_IO, "another whet is fetching %s", wh_buf_str(&p->file));
    struct stat st;
    if (fstat(p->fd, &st) != 0) return wh_err_errno(err, "cannot read the size of %s", path);
    p->have = (uint64_t)st.st_size;
    if (p->total && p->have > p->total) WH_TRY(wh_part_cut(p, 0, err));
    p->from = p->have;
    p->since = p->shown = wh_clock_now();
    return check_space(p, err);
}

wh_code wh_part_open(wh_part *p, const char *file, uint64_t total, const char *label, wh_err *err)
{
    *p = (wh_part){.label = label, .fd = -1, .total = total};
    wh_buf_puts(&p->file, file);
    wh_buf_printf(&p->path, "%s.part", file);
    wh_code code = wh_buf_ok(&p->file) && wh_buf_ok(&p->path) ? make_folder(file, err)
                                                            : wh_err_set(err, WH_ERR_NOMEM, "no memory for a path");
    if (code == WH_OK) code = open_part(p, err);
    if (code != WH_OK) wh_part_close(p);
    return code;
}

void wh_part_close(wh_part *p)
{
    if (p->path.data && p->fd >= 0) {
        if (p->have == 0) unlink(p->path.data); /* an empty one is of no use to anybody */
        close(p->fd);
    }
    wh_buf_free(&p->path);
    wh_buf_free(&p->file);
    *p = (wh_part){.fd = -1};
}

wh_code wh_part_append(wh_part *p, const void *data, size_t n, wh_err *err)
{
    const char *s = data;
    while (n) {
        ssize_t w = write(p->fd, s, n);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) {
            p->local = true;
            return wh_err_errno(err, "cannot write %s", wh_buf_str(&p->path));
        }
        s += w;
        n -= (size_t)w;
        p->have += (uint64_t)w;
    }
    return WH_OK;
}

wh_code wh_part_cut(wh_part *p, uint64_t at, wh_err *err)
{
    if (ftruncate(p->fd, (off_t)at) != 0) {
        p->local = true;
        return wh_err_errno(err, "cannot cut %s", wh_buf_str(&p->path));
    }
    p->have = at;
    if (p->from > at) p->from = at;
    return WH_OK;
}

static wh_code check_bytes(const wh_part *p, const char *sha256, wh_err *err)
{
    if (p->total && p->have != p->total)
        return wh_err_set(err, WH_ERR_FORMAT, "%s has %llu bytes where %llu are expected", p->label,
                          (unsigned long long)p->have, (unsigned long long)p->total);
    if (!sha256) return WH_OK;
    wh_out_progress("%s  verifying", p->label);
    wh_map map;
    WH_TRY(wh_file_map(&map, wh_buf_str(&p->path), err));
    char hex[65];
    wh_file_sha256(hex, map.data, map.size);
    wh_file_unmap(&map);
    wh_out_progress("%s", "");
    if (strcmp(hex, sha256) == 0) return WH_OK;
    return wh_err_set(err, WH_ERR_FORMAT, "%s has the wrong sha256: %.12s... where %.12s... is expected", p->label, hex, sha256);
}

wh_code wh_part_finish(wh_part *p, const char *sha256, wh_err *err)
{
    wh_code code = check_bytes(p, sha256, err);
    if (code == WH_ERR_FORMAT) {
        wh_err second;
        if (wh_part_cut(p, 0, &second) != WH_OK) *err = second;
        return code;
    }
    if (code == WH_OK && fsync(p->fd) != 0) code = wh_err_errno(err, "cannot write %s", wh_buf_str(&p->path));
    if (code == WH_OK && rename(wh_buf_str(&p->path), wh_buf_str(&p->file)) != 0)
        code = wh_err_errno(err, "cannot rename to %s", wh_buf_str(&p->file));
    p->local = code != WH_OK;
    return code;
}

void wh_part_show(wh_part *p, uint64_t more)
{
    double now = wh_clock_now();
    if (now - p->shown < 0.2) return;
    p->shown = now;
    double have = (double)(p->have + more), speed = (have - (double)p->from) / (now - p->since);
    char a[24], b[24], c[24];
    if (p->total == 0) {
        wh_out_progress("%s  %s  %.1f MB/s", p->label, wh_out_bytes(a, have), speed / 1e6);
        return;
    }
    wh_out_progress("%s  %3.0f %%  %s of %s  %.1f MB/s  %s left", p->label, 100 * have / (double)p->total,
                    wh_out_bytes(a, have), wh_out_bytes(b, (double)p->total), speed / 1e6,
                    wh_out_duration(c, ((double)p->total - have) / speed));
}
