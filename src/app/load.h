/* load: from --policy, --threads, --memory and --cpu-mask to a model that runs. */
#ifndef WH_APP_LOAD_H
#define WH_APP_LOAD_H

#include "app/opt.h"
#include "base/buf.h"
#include "engine/engine.h"
#include "model/model.h"
#include "text/chat.h"
#include "text/tok.h"

/* Values of wh_load_options, the group that all commands with a model share. */
typedef struct wh_load_opts {
    const char *policy, *cpu_mask;
    uint64_t    memory;
    int64_t     threads;
    bool        fast;
} wh_load_opts;

/* Lines that a command without a policy has too. */
#define WH_OPT_CPU_MASK(S) WH_OPT_STRING(S, cpu_mask, "cpu-mask", "ISA", NULL, "use no more than this instruction set: c, avx2, neon, ...")
#define WH_OPT_MEMORY(S) WH_OPT_SIZE(S, memory, "memory", "SIZE", "0", "limit for keys, values and scratch; 0: what fits")
#define WH_OPT_THREADS(S) WH_OPT_INT(S, threads, "threads", "T", "0", 0, 1024, "threads; 0: one per physical core")
/* Lines of commands that sample. */
#define WH_OPT_BATCH(S) WH_OPT_INT(S, batch, "batch", "B", "64", 1, 4096, "samples that are computed together, at most")
#define WH_OPT_SEED(S) WH_OPT_INT(S, seed, "seed", "K", "0", 0, 9e18, "another seed draws other samples")

extern const wh_opt wh_load_options[];
enum { WH_LOAD_OPTIONS = 5 };
#define WH_LOAD_GROUP(values) {"Model and machine", wh_load_options, WH_LOAD_OPTIONS, values, NULL}

typedef struct wh_loaded {
    wh_buf    path; /* of the model file */
    wh_buf    name; /* as people know it: of the MANIFEST, or the file's */
    wh_par    *par;
    wh_model  *model;
    wh_tok    *tok;
    wh_chat   *chat;   /* NULL: the file has no format that Whet knows */
    wh_engine *engine; /* wh_load_engine */
} wh_loaded; /* starts as {0} */

/* A model for text alone: the tokenizer of a file, which may hold no tensors. */
wh_code wh_load_tok(wh_tok **out, const char *reference, wh_err *err);
/* Everything but an engine. Half of it is freed by wh_load_free when it fails. */
wh_code wh_load_model(wh_loaded *l, const wh_load_opts *o, wh_err *err);
void    wh_load_free(wh_loaded *l);

/* An engine for sequences of `tokens` tokens (the model's own limit, if that is less), `rows` of them together, with
 * `paths` that a search comes back to, prompts in pieces of `chunk` (0: the engine's defaults), within --memory. */
wh_code wh_load_engine(wh_loaded *l, const wh_load_opts *o, size_t tokens, size_t rows, size_t paths, size_t chunk, wh_err *err);

/* The same for a head that reads block `layers` and none above it (all there are, if they are fewer): nothing samples. */
wh_code wh_load_trunk(wh_loaded *l, const wh_load_opts *o, size_t tokens, size_t rows, size_t layers, wh_err *err);

/* What --cpu-mask allows here; NULL: 0, which is all. */
wh_code wh_load_isa(wh_isa *out, const char *mask, wh_err *err);
/* The form of packing that was asked for. */
wh_mat_form wh_load_form(const wh_load_opts *o);

/* The prompt of a problem in the model's chat format. WH_ERR_ARG: there is nothing in it;
 * WH_ERR_UNSUPPORTED: the model has no chat format. */
wh_code wh_load_prompt(const wh_loaded *l, wh_tok_ids *ids, const char *problem, size_t n, wh_err *err);

/* The name for a model reference: see wh_loaded. */
wh_code wh_load_name(wh_buf *out, const char *reference, const char *path, wh_err *err);

/* The SHA-256 of a file as 64 hex digits: what a journal knows a model by. */
wh_code wh_load_sha256(char hex[65], const char *path, wh_err *err);

/* Was the model made by `whet pack`? */
bool    wh_load_is_packed(const wh_gguf *g);
/* What heads know a model by: the SHA-256 of its file, or of the file that it was packed from. */
wh_code wh_load_identity(char hex[65], const char *path, wh_err *err);

/* Which blocks of a model of so many are meant: those that were asked for, or the last. WH_ERR_ARG: not ascending, or not
 * there. */
wh_code wh_load_layers(uint32_t out[WH_OPT_INTS_MAX], size_t *n, const wh_opt_ints *asked, size_t blocks, const char *model, wh_err *err);

#endif
