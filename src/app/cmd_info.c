/* whet info: what is in a model file. Reads the header alone, so it is quick for any size. */
#include "app/cmd.h"
#include "app/info_head.h"
#include "app/json.h"
#include "app/load.h"
#include "app/manifest.h"
#include "app/out.h"
#include "model/kv.h"
#include "model/pack.h"
#include "reward/prm.h"
#include "text/tok_gguf.h"

typedef struct options {
    bool json, keys, tensors;
} options;

static const wh_opt option_table[] = {
    WH_OPT_FLAG(options, json, "json", "as JSON"),
    WH_OPT_FLAG(options, keys, "keys", "list the metadata too"),
    WH_OPT_FLAG(options, tensors, "tensors", "list the tensors too"),
};

/* What the pieces of a file say about it; a piece that Whet cannot use leaves its sentence in `why`. */
typedef struct facts {
    wh_gguf  *gguf;
    wh_buf    path, name, prm; /* prm: empty when it is none */
    wh_config config;
    wh_err    config_why, tok_why;
    bool      runs; /* the architecture is one that Whet runs */
    wh_tok   *tok;
    wh_chat  *chat;
    wh_mat_form form;
    uint64_t  weights;
    size_t    tensors_of[WH_TYPE_COUNT];
    uint64_t  bytes_of[WH_TYPE_COUNT];
} facts;

static wh_code collect(facts *f, const char *reference, wh_err *err)
{
    WH_TRY(wh_manifest_resolve(&f->path, reference, err));
    WH_TRY(wh_load_name(&f->name, reference, wh_buf_str(&f->path), err));
    WH_TRY(wh_gguf_open(&f->gguf, wh_buf_str(&f->path), err));
    WH_TRY(wh_pack_form(&f->form, f->gguf, err));
    wh_prm_describe(&f->prm, f->gguf);
    f->runs = wh_config_read(&f->config, f->gguf, &f->config_why) == WH_OK;
    if (wh_tok_gguf_create(&f->tok, f->gguf, &f->tok_why) == WH_OK)
        (void)wh_tok_gguf_create_chat(&f->chat, f->gguf, f->tok, NULL);
    for (size_t i = 0; i < wh_gguf_tensor_count(f->gguf); i++) {
        wh_gguf_tensor t = wh_pack_unpacked(f->gguf, wh_gguf_tensor_at(f->gguf, i));
        f->weights += t.dims[0] * t.dims[1] * t.dims[2] * t.dims[3];
        f->tensors_of[t.type]++;
        f->bytes_of[t.type] += t.bytes;
    }
    return WH_OK;
}

static void release(facts *f)
{
    wh_chat_free(f->chat);
    wh_tok_free(f->tok);
    wh_gguf_close(f->gguf);
    wh_buf_free(&f->path);
    wh_buf_free(&f->name);
    wh_buf_free(&f->prm);
}

static size_t kv_bytes_per_token(const facts *f) { return wh_kv_closed_bytes(&f->config) / WH_KV_BLOCK; }

static void print_model(const facts *f)
{
    char size[24];
    const wh_config *c = &f->config;
    if (f->runs) {
        wh_out_printf("shape      %s: %zu layers, width %zu, %zu heads (%zu for keys and values) of %zu, feed-forward %zu\n",
                      c->arch->name, c->layers, c->d, c->heads, c->kv_heads, c->head_dim, c->ffn);
        wh_out_printf("context    %zu tokens, %s of keys and values each\n", c->context, wh_out_bytes(size, (double)kv_bytes_per_token(f)));
    } else {
        wh_out_printf("shape      cannot be run: %s\n", f->config_why.msg);
    }
    if (f->tok) {
        const int32_t *ends;
        size_t n = wh_tok_ends(f->tok, &ends);
        wh_out_printf("tokens     %zu; end of turn:", wh_tok_count(f->tok));
        for (size_t i = 0; i < n; i++) {
            wh_tok_str s = wh_tok_spelling(f->tok, ends[i]);
            wh_out_printf(" %.*s", (int)s.n, s.s);
        }
        wh_out_printf("\nchat       %s\n", f->chat ? wh_chat_name(f->chat) : "no format that Whet knows");
    } else {
        wh_out_printf("tokens     cannot be used: %s\n", f->tok_why.msg);
    }
}

static void print_head(const wh_gguf *g)
{
    wh_buf text = {0};
    wh_info_head(&text, g);
    wh_out_puts(wh_buf_str(&text));
    wh_buf_free(&text);
}

static void print_text(const facts *f)
{
    char size[24];
    wh_out_printf("model      %s\nfile       %s\n", wh_buf_str(&f->name), wh_buf_str(&f->path));
    wh_out_printf("size       %s, %.2f billion weights, GGUF %u", wh_out_bytes(size, (double)wh_gguf_file_bytes(f->gguf)),
                  (double)f->weights / 1e9, wh_gguf_version(f->gguf));
    if (wh_gguf_file_count(f->gguf) > 1) wh_out_printf(", %zu files", wh_gguf_file_count(f->gguf));
    wh_out_puts("\n");
    wh_gguf_str source = wh_pack_source(f->gguf);
    if (source.s)
        wh_out_printf("packed     %sfrom the file with sha256 %.*s\n", f->form == WH_MAT_FAST ? "with --fast, " : "",
                      (int)(source.len < 64 ? source.len : 64), source.s);
    if (wh_info_is_head(f->gguf)) print_head(f->gguf);
    else print_model(f);
    if (f->prm.len) wh_out_printf("PRM        %s\n", f->prm.data);
    wh_out_puts("formats   ");
    for (int t = 0; t < WH_TYPE_COUNT; t++)
        if (f->tensors_of[t])
            wh_out_printf(" %s (%zu tensors, %s)", wh_quant_table[t].name, f->tensors_of[t], wh_out_bytes(size, (double)f->bytes_of[t]));
    wh_out_puts("\n");
}

static json_t *facts_json(const facts *f)
{
    const wh_config *c = &f->config;
    json_t *o = json_object(), *formats = json_object();
    for (int t = 0; t < WH_TYPE_COUNT; t++)
        if (f->tensors_of[t])
            json_object_set_new(formats, wh_quant_table[t].name,
                                json_pack("{s:I, s:I}", "tensors", (json_int_t)f->tensors_of[t], "bytes", (json_int_t)f->bytes_of[t]));
    json_object_set_new(o, "model", json_string(wh_buf_str(&f->name)));
    json_object_set_new(o, "path", wh_json_text(wh_buf_str(&f->path), f->path.len));
    json_object_set_new(o, "bytes", json_integer((json_int_t)wh_gguf_file_bytes(f->gguf)));
    json_object_set_new(o, "weights", json_integer((json_int_t)f->weights));
    json_object_set_new(o, "gguf", json_integer(wh_gguf_version(f->gguf)));
    wh_gguf_str source = wh_pack_source(f->gguf);
    if (source.s) {
        json_object_set_new(o, "packed_from", wh_json_text(source.s, source.len));
        json_object_set_new(o, "fast", json_boolean(f->form == WH_MAT_FAST));
    }
    if (f->runs)
        json_object_set_new(o, "shape", json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "arch", c->arch->name, "layers",
                                                  (json_int_t)c->layers, "d", (json_int_t)c->d, "heads", (json_int_t)c->heads, "kv_heads",
                                                  (json_int_t)c->kv_heads, "head_dim", (json_int_t)c->head_dim, "ffn", (json_int_t)c->ffn,
                                                  "vocab", (json_int_t)c->vocab, "context", (json_int_t)c->context, "kv_bytes_per_token",
                                                  (json_int_t)kv_bytes_per_token(f)));
    else json_object_set_new(o, "cannot_run", json_string(f->config_why.msg));
    json_object_set_new(o, "tokens", f->tok ? json_integer((json_int_t)wh_tok_count(f->tok)) : json_null());
    json_object_set_new(o, "chat", wh_json_string(f->chat ? wh_chat_name(f->chat) : NULL));
    json_object_set_new(o, "prm", wh_json_string(f->prm.data));
    if (wh_info_is_head(f->gguf)) json_object_set_new(o, "head", wh_info_head_json(f->gguf));
    json_object_set_new(o, "formats", formats);
    return o;
}

static void print_keys(const wh_gguf *g)
{
    wh_buf value = {0};
    wh_out_puts("\n");
    for (size_t i = 0; i < wh_gguf_key_count(g); i++) {
        const wh_gguf_key *k = wh_gguf_key_at(g, i);
        wh_buf_clear(&value);
        wh_gguf_print_value(&value, k, 4);
        wh_out_printf("%-44s %s\n", k->name, wh_buf_str(&value));
    }
    wh_buf_free(&value);
}

static void print_tensors(const wh_gguf *g)
{
    wh_out_puts("\n");
    for (size_t i = 0; i < wh_gguf_tensor_count(g); i++) {
        wh_gguf_tensor t = wh_pack_unpacked(g, wh_gguf_tensor_at(g, i));
        wh_out_printf("%-44s %-6s", t.name, wh_quant_table[t.type].name);
        for (int d = 0; d < t.n_dims; d++) wh_out_printf(d ? " x %llu" : " %llu", (unsigned long long)t.dims[d]);
        wh_out_puts("\n");
    }
}

int wh_cmd_info(int argc, char **argv)
{
    options o = {0};
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}};
    const wh_opt_spec spec = {"info", "[options] [MODEL]", "What is in a model file: a name, an alias or a path (default: the default model).",
                              groups, 1, 0, 1, false};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_err err;
    facts f = {0};
    if (collect(&f, n ? argv[0] : NULL, &err) != WH_OK) {
        status = wh_out_error(&err);
    } else if (o.json) {
        wh_out_json(facts_json(&f));
    } else {
        print_text(&f);
        if (o.keys) print_keys(f.gguf);
        if (o.tensors) print_tensors(f.gguf);
    }
    release(&f);
    return status;
}
