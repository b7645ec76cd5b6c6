/* model: a model file opened, checked and packed for the kernels, or mapped when it was packed before (pack.h).
 *
 * Immutable after wh_model_open: any number of engines and threads may share it.
 */
#ifndef WH_MODEL_MODEL_H
#define WH_MODEL_MODEL_H

#include "base/cpu.h"
#include "base/par.h"
#include "gguf/gguf_read.h"
#include "kern/mat.h"
#include "kern/ops.h"
#include "model/config.h"

/* The weights of one block; all matrices are (out, in). Biases and the q/k norms may be NULL. */
typedef struct wh_layer {
    float  *attn_norm, *ffn_norm;    /* (d) */
    float  *q_norm, *k_norm;         /* (head_dim) */
    float  *qkv_bias;                /* (heads + 2 kv_heads) * head_dim: q, k, v */
    wh_mat *q, *k, *v, *o;
    wh_mat *gate, *up, *down;
} wh_layer;

/* A matrix and the name of its tensor in a packed file: that of the source, but "output.weight" for a head that
 * the source ties to its embedding. */
typedef struct wh_model_mat {
    const char *name;
    wh_mat     *w;
} wh_model_mat;

typedef struct wh_model {
    wh_config      config;
    wh_gguf       *gguf; /* stays open: the embedding is read from it row by row, and what was packed before */
    bool           packed; /* it was packed before */
    wh_mat_form    form;   /* of its matrices */
    const wh_kern *kern;
    const wh_ops  *ops;
    wh_isa         isa; /* what the kernels were chosen from */

    const wh_gguf_tensor *embedding; /* (vocab, d) */
    wh_layer *layers;
    float    *out_norm;     /* (d) */
    wh_mat   *head;         /* (vocab, d) */
    float    *rope_factors; /* (head_dim / 2), Llama 3's frequency factors; NULL: none */
    unsigned  ways_d, ways_attn, ways_ffn; /* wh_act_way sets wanted at inputs of width d, heads*hd and ffn */
    wh_model_mat *mats;     /* all matrices of layers and head, in the order they are used; the owners */
    size_t    n_mats, packed_bytes; /* bytes of all of them */
    double    load_seconds;
} wh_model;

/* Load path with the threads of par. allowed: the instruction sets to use (0: all that this machine has). form: how to
 * pack; a file that was packed before keeps the form it has, and WH_ERR_ARG if it is exact where FAST is asked for.
 * The sentence of an error begins with the path. */
wh_code wh_model_open(wh_model **out, const char *path, wh_isa allowed, wh_mat_form form, wh_par *par, wh_err *err);
void    wh_model_free(wh_model *m);

#endif
