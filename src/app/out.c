#include "app/out.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool progress_shown; /* a progress line stands on the terminal */
static int  write_errno;    /* of the first write to standard output that failed */

void wh_out_init(void)
{
    /* Opened for reading, so that writing to it fails as writing to a closed descriptor would. */
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 2 ? O_WRONLY : O_RDONLY) < 0) _exit(WH_EXIT_USAGE);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

static void check_stdout(bool good)
{
    if (!good && write_errno == 0) write_errno = errno ? errno : EIO;
}

void wh_out_puts(const char *s)
{
    errno = 0;
    check_stdout(fputs(s, stdout) >= 0);
}

void wh_out_printf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    errno = 0;
    check_stdout(vprintf(fmt, ap) >= 0);
    va_end(ap);
}

void wh_out_json(json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(value);
    if (!text) {
        errno = ENOMEM;
        check_stdout(false);
        return;
    }
    wh_out_puts(text);
    wh_out_puts("\n");
    free(text);
}

void wh_out_flush(void)
{
    errno = 0;
    check_stdout(fflush(stdout) == 0);
}

int wh_out_finish(int status)
{
    wh_out_flush();
    if (write_errno == 0) return status;
    wh_err err;
    errno = write_errno;
    wh_err_errno(&err, "cannot write to standard output");
    return wh_out_error(&err);
}

bool wh_out_terminal(void)
{
    static int known = -1;
    if (known < 0) known = isatty(STDERR_FILENO);
    return known != 0;
}

static void erase_progress(void)
{
    if (progress_shown) fputs("\r\033[K", stderr);
    progress_shown = false;
}

void wh_out_note(const char *fmt, ...)
{
    wh_out_flush(); /* so that the two streams are in order where they go to the same place */
    erase_progress();
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fflush(stderr);
}

void wh_out_progress(const char *fmt, ...)
{
    if (!wh_out_terminal()) return;
    erase_progress();
    va_list ap;
    va_start(ap, fmt);
    int n = vfprintf(stderr, fmt, ap);
    va_end(ap);
    progress_shown = n > 0;
    fflush(stderr);
}

int wh_out_status(wh_code code)
{
    static const int status[] = {
        [WH_OK] = WH_EXIT_OK,      [WH_ERR_NOMEM] = 3,           [WH_ERR_IO] = 4,     [WH_ERR_FORMAT] = 5,
        [WH_ERR_UNSUPPORTED] = 6,  [WH_ERR_ARG] = WH_EXIT_USAGE, [WH_ERR_BUDGET] = 7, [WH_ERR_CANCELLED] = WH_EXIT_INTERRUPTED,
    };
    return (size_t)code < sizeof status / sizeof status[0] ? status[code] : 3;
}

int wh_out_error(const wh_err *err)
{
    wh_out_note("whet: %s\n", err->msg);
    return wh_out_status(err->code);
}

/* x in three digits, with the largest of the units (a thousand apart) that keeps it at least 1. */
static const char *with_unit(char buf[24], double x, const char *const *units, size_t n)
{
    size_t u = 0;
    while (x >= 999.5 && u + 1 < n) {
        x /= 1000;
        u++;
    }
    int digits = u == 0 || x >= 99.95 ? 0 : x >= 9.995 ? 1 : 2;
    snprintf(buf, 24, "%.*f %s", digits, x, units[u]);
    return buf;
}

const char *wh_out_bytes(char buf[24], double bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    return with_unit(buf, bytes, units, sizeof units / sizeof units[0]);
}

const char *wh_out_flops(char buf[24], double flops)
{
    static const char *const units[] = {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"};
    return with_unit(buf, flops, units, sizeof units / sizeof units[0]);
}

const char *wh_out_count(char buf[24], double n)
{
    static const char *const units[] = {"", "k", "M", "G", "T", "P", "E"};
    with_unit(buf, n, units, sizeof units / sizeof units[0]);
    buf[strcspn(buf, " ") + (n >= 999.5 ? 2 : 0)] = '\0';
    return buf;
}

const char *wh_out_duration(char buf[24], double seconds)
{
    if (!(seconds >= 0) || seconds > 8640000) snprintf(buf, 24, "-");
    else if (seconds < 60) snprintf(buf, 24, "%.0f s", seconds);
    else if (seconds < 3600) snprintf(buf, 24, "%d:%02d", (int)seconds / 60, (int)seconds % 60);
    else snprintf(buf, 24, "%d:%02d:%02d", (int)seconds / 3600, (int)seconds / 60 % 60, (int)seconds % 60);
    return buf;
}
