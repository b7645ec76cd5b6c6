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

/* ---- solving -------------------------------------------------------------------------------------- */

/* A model that is loaded and ready. Uses of one session must not overlap in time; several sessions may. */
typedef struct wh_session wh_session;

typedef struct wh_session_opts {
    const char *cpu_mask; /* "avx2": no instruction set beyond it; NULL: what this machine has */
    int         threads;  /* 0: one per physical core */
    size_t      memory;   /* bytes for KV cache and scratch; 0: what fits */
    size_t      context;  /* tokens of a problem with its solution, at most; 0: 4096, or the model's limit */
    size_t      batch;    /* samples that are computed together, at most; 0: 64 */
} wh_session_opts; /* {0} is a good choice */

/* model: path of a GGUF file (or a packed one). opts may be NULL. */
wh_code wh_session_open(wh_session **out, const char *model, const wh_session_opts *opts, wh_err *err);
void    wh_session_close(wh_session *s);

/* A parameter of a strategy by name, as on the command line without the dashes: {"n", "16"}. */
typedef struct wh_setting {
    const char *name, *value;
} wh_setting;

typedef struct wh_solve_opts {
    const char       *strategy; /* NULL: "best_of_n" */
    const wh_setting *settings;
    size_t            n_settings;
    uint64_t          seed;
    /* Both optional. A piece of the first sample's text as it is written; whole UTF-8 characters. */
    void (*on_text)(void *user, const char *text, size_t n);
    void *user;
    /* Asked between steps: true ends the search with what it has, and the result is WH_ERR_CANCELLED. */
    bool (*cancelled)(void *user);
} wh_solve_opts; /* {0}: 16 samples and a majority vote */

typedef struct wh_solution_sample {
    char  *text;
    char  *answer; /* as extracted; "" when there is none */
    size_t tokens;
} wh_solution_sample;

typedef struct wh_solution_vote {
    char  *answer;
    size_t count;
} wh_solution_vote;

typedef struct wh_solution {
    const char         *answer; /* of the first vote; NULL when no sample came to one */
    wh_solution_sample *samples; /* in order of index */
    size_t              n_samples;
    wh_solution_vote   *votes; /* most votes first */
    size_t              n_votes;
    uint64_t            flops, tokens; /* spent; generated */
    double              seconds;
} wh_solution;

/* Solve one problem. opts may be NULL. The same model, problem, options and seed give the same solution on
 * every machine. *out is to be freed with wh_solution_free whatever the result; on WH_ERR_CANCELLED it holds
 * what was finished. */
wh_code wh_session_solve(wh_session *s, wh_solution *out, const char *problem, const wh_solve_opts *opts, wh_err *err);
void    wh_solution_free(wh_solution *s);

#ifdef __cplusplus
}
#endif

#endif
