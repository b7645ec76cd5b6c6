/* err: one error type for the whole library.
 *
 * A function that can fail returns a wh_code and takes a wh_err * last. The place where it happens
 * writes the sentence (which tensor, which byte, what was expected); a layer above may wrap it once
 * with wh_err_wrap. Only app/ and serve/ print. err may be NULL: the code alone is returned then.
 */
#ifndef WH_BASE_ERR_H
#define WH_BASE_ERR_H

#include "whet.h"

#include <stdarg.h>

/* Write the sentence and return code, so that failing is one statement: return wh_err_set(err, ...). */
wh_code wh_err_set(wh_err *err, wh_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Put "prefix: " in front of the sentence already in err; returns the code in err. */
wh_code wh_err_wrap(wh_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* WH_ERR_IO with ": " and the text of errno appended. */
wh_code wh_err_errno(wh_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The static analyzer sees one file at a time: here it learns that these never return WH_OK. */
#ifdef __clang_analyzer__
#define wh_err_set(err, code, ...) ((wh_err_set)(err, code, __VA_ARGS__), (code))
#define wh_err_wrap(...) ((wh_err_wrap)(__VA_ARGS__), WH_ERR_FORMAT)
#define wh_err_errno(...) ((wh_err_errno)(__VA_ARGS__), WH_ERR_IO)
#endif

#define WH_TRY(call)                                                                                         \
    do {                                                                                                     \
        wh_code try_code_ = (call);                                                                          \
        if (try_code_ != WH_OK) return try_code_;                                                            \
    } while (0)

#endif
