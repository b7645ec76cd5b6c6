/* Whet: small language models that reason better by spending test-time compute well.
 *
 * This is the one header an embedder includes. Everything the library does is reported through
 * return codes and a sentence; it never prints, never exits, and never keeps global state that two
 * users of the library in one process could trip over.
 */
#ifndef WHET_H
#define WHET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors --------------------------------------------------------------------------------------- */

typedef enum {
    WH_OK = 0,
    WH_ERR_NOMEM,       /* the system has no more memory */
    WH_ERR_IO,          /* a file or a stream failed */
    WH_ERR_FORMAT,      /* what a file or a text holds is broken */
    WH_ERR_UNSUPPORTED, /* well-formed, but Whet cannot do it */
    WH_ERR_ARG,         /* the caller asked for something that makes no sense */
    WH_ERR_BUDGET,      /* a limit that the caller set does not suffice */
    WH_ERR_CANCELLED    /* the caller stopped it */
} wh_code;

/* A code for the program and a sentence for the person. */
typedef struct wh_err {
    wh_code code;
    char    msg[256];
} wh_err;

const char *wh_code_name(wh_code code);

/* The version of the library, "major.minor.patch". */
const char *wh_version(void);

#ifdef __cplusplus
}
#endif

#endif
