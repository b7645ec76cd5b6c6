#include "base/err.h" /* names in parentheses below: macros for the static analyzer */

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *wh_code_name(wh_code code)
{
    static const char *const names[] = {
        [WH_OK] = "ok",
        [WH_ERR_NOMEM] = "out of memory",
        [WH_ERR_IO] = "input/output error",
        [WH_ERR_FORMAT] = "bad format",
        [WH_ERR_UNSUPPORTED] = "not supported",
        [WH_ERR_ARG] = "bad argument",
        [WH_ERR_BUDGET] = "budget or memory limit exceeded",
        [WH_ERR_CANCELLED] = "cancelled",
    };
    if ((size_t)code >= sizeof names / sizeof names[0]) return "unknown error";
    return names[code];
}

wh_code (wh_err_set)(wh_err *err, wh_code code, const char *fmt, ...)
{
    if (!err) return code;
    err->code = code;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    return code;
}

wh_code (wh_err_wrap)(wh_err *err, const char *fmt, ...)
{
    if (!err) return WH_ERR_ARG;
    wh_err inner = *err;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->msg)
        snprintf(err->msg + n, sizeof err->msg - (size_t)n, ": %.*s", (int)sizeof err->msg - n - 3, inner.msg);
    return err->code;
}

wh_code (wh_err_errno)(wh_err *err, const char *fmt, ...)
{
    int saved = errno;
    if (!err) return WH_ERR_IO;
    err->code = WH_ERR_IO;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof err->msg)
        snprintf(err->msg + n, sizeof err->msg - (size_t)n, ": %s", strerror(saved));
    return err->code;
}
