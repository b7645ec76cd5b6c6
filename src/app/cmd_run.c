/* whet run: plain generation, streamed. */
#include "app/cmd.h"
#include "app/interrupt.h"
#include "app/json.h"
#include "app/load.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/file.h"

#include <string.h>

typedef struct options {
    bool        json, raw;
    double      temperature, top_p, min_p;
    int64_t     top_k, max_tokens, seed;
    const char *stop, *system;
} options;

static const wh_opt option_table[] = {
    WH_OPT_FLAG(options, json, "json", "one object at the end instead of a stream"),
    WH_OPT_INT(options, max_tokens, "max-tokens", "K", "512", 1, 1000000, "tokens of the reply, at most"),
    WH_OPT_FLOAT(options, min_p, "min-p", "P", "0", 0, 1, "draw from tokens at least this probable relative to the best; 0: all"),
    WH_OPT_FLAG(options, raw, "raw", "continue the prompt as it is, without a chat format"),
    WH_OPT_INT(options, seed, "seed", "K", "0", 0, 9e18, "another seed draws another reply"),
    WH_OPT_STRING(options, stop, "stop", "TEXT", NULL, "end where this text appears"),
    WH_OPT_STRING(options, system, "system", "TEXT", NULL, "system message"),
    WH_OPT_FLOAT(options, temperature, "temperature", "T", "0.7", 0, 10, "0 takes the most probable token, higher is more varied"),
    WH_OPT_INT(options, top_k, "top-k", "K", "0", 0, 1000000, "draw from the k most probable tokens; 0: all"),
    WH_OPT_FLOAT(options, top_p, "top-p", "P", "1", 0, 1, "draw from the smallest set of tokens with this probability; 1: all"),
};

typedef struct talk {
    const options *o;
    json_t        *reply; /* with --json */
    wh_stop        stop;
    size_t         n_tokens;
    bool           line_open; /* the stream does not stand at the beginning of a line */
} talk;

static void on_text(void *user, const char *text, size_t n)
{
    talk *t = user;
    wh_out_printf("%.*s", (int)n, text);
    wh_out_flush();
    t->line_open = text[n - 1] != '\n';
}

static void on_done(void *user, const wh_gen_result *r)
{
    talk *t = user;
    t->stop = r->stop;
    t->n_tokens = r->n_tokens;
    if (t->o->json) t->reply = wh_json_text(r->text, r->text_len);
}

static wh_code encode(const options *o, const wh_loaded *l, wh_tok_ids *ids, const char *prompt, size_t n, wh_err *err)
{
    if (o->raw) {
        WH_TRY(wh_tok_encode(l->tok, ids, prompt, n, WH_TOK_BOS, err));
        return ids->len ? WH_OK : wh_err_set(err, WH_ERR_ARG, "the prompt is empty");
    }
    if (strspn(prompt, " \t\r\n") == n) return wh_err_set(err, WH_ERR_ARG, "the prompt is empty");
    if (!l->chat)
        return wh_err_set(err, WH_ERR_UNSUPPORTED, "%s has no chat format that Whet knows; use --raw", wh_buf_str(&l->name));
    wh_chat_msg messages[] = {{WH_CHAT_SYSTEM, {o->system, o->system ? strlen(o->system) : 0}}, {WH_CHAT_USER, {prompt, n}}};
    size_t skip = o->system ? 0 : 1;
    wh_chat_text text = {0};
    wh_code code = wh_chat_render(l->chat, &text, messages + skip, 2 - skip, true, err);
    if (code == WH_OK) code = wh_chat_encode(l->chat, ids, &text, err);
    wh_chat_text_free(&text);
    return code;
}

static wh_code generate(const options *o, wh_loaded *l, const wh_tok_ids *ids, talk *t, wh_err *err)
{
    const char *stops[] = {o->stop};
    const wh_gen_spec spec = {
        .prefix = ids->data,
        .n_prefix = ids->len,
        .sampling = {.temperature = (float)o->temperature, .top_k = (int)o->top_k, .top_p = (float)o->top_p,
                     .min_p = (float)o->min_p, .seed = (uint64_t)o->seed},
        .max_tokens = (size_t)o->max_tokens,
        .stops = stops,
        .n_stops = o->stop ? 1 : 0,
        .on_text = o->json ? NULL : on_text,
        .on_done = on_done,
        .user = t,
    };
    wh_job job;
    WH_TRY(wh_engine_generate(l->engine, &job, &spec, err));
    for (bool idle = false; !idle;) {
        if (wh_interrupt_asked()) wh_engine_cancel(l->engine, job);
        WH_TRY(wh_engine_step(l->engine, &idle, err));
    }
    return WH_OK;
}

static void report(const talk *t, const wh_loaded *l, const wh_tok_ids *ids, double seconds)
{
    wh_engine_stats stats;
    wh_engine_get_stats(l->engine, &stats);
    if (t->o->json) {
        wh_out_json(json_pack("{s:O, s:I, s:I, s:s, s:f, s:s, s:I, s:I}", "text", t->reply, "tokens", (json_int_t)t->n_tokens,
                              "prompt_tokens", (json_int_t)ids->len, "stop", wh_stop_name(t->stop), "seconds", seconds, "policy",
                              wh_buf_str(&l->name), "seed", (json_int_t)t->o->seed, "flops",
                              (json_int_t)wh_ledger_total(&stats.ledger)));
        return;
    }
    if (t->line_open) wh_out_puts("\n");
    wh_out_note("[%zu tokens in %.1f s, prompt of %zu; %s]\n", t->n_tokens, seconds, ids->len, wh_stop_name(t->stop));
}

static wh_code run(const options *o, const wh_load_opts *machine, const char *prompt, wh_err *err)
{
    wh_loaded l = {0};
    wh_buf text = {0};
    wh_tok_ids ids = {0};
    talk t = {.o = o};
    wh_code code = wh_cmd_text(&text, prompt, "prompt", err);
    if (code == WH_OK) code = wh_load_model(&l, machine, err);
    if (code == WH_OK) code = encode(o, &l, &ids, wh_buf_str(&text), text.len, err);
    if (code == WH_OK) code = wh_load_engine(&l, machine, ids.len + (size_t)o->max_tokens, 1, 0, 0, err);
    if (code == WH_OK) {
        double began = wh_clock_now();
        code = generate(o, &l, &ids, &t, err);
        if (code == WH_OK) report(&t, &l, &ids, wh_clock_now() - began);
    }
    if (code == WH_OK && wh_interrupt_asked()) code = wh_err_set(err, WH_ERR_CANCELLED, "interrupted");
    json_decref(t.reply);
    wh_tok_ids_free(&ids);
    wh_buf_free(&text);
    wh_load_free(&l);
    return code;
}

int wh_cmd_run(int argc, char **argv)
{
    options o = {0};
    wh_load_opts machine = {0};
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}, WH_LOAD_GROUP(&machine)};
    static const char about[] =
        "Generate a reply to a prompt (`-`: standard input) in the model's chat format, or with --raw its\n"
        "continuation. The text is streamed on standard output.";
    const wh_opt_spec spec = {"run", "[options] \"prompt\"", about, groups, 2, 1, 1, false};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_err err;
    if (o.raw && o.system) {
        wh_err_set(&err, WH_ERR_ARG, "--system needs a chat format and cannot stand beside --raw");
        return wh_out_error(&err);
    }
    wh_interrupt_catch();
    return run(&o, &machine, argv[0], &err) == WH_OK ? status : wh_out_error(&err);
}
