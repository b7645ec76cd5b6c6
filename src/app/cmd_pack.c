/* whet pack: a model file as the kernels read it, which opens at once (model/pack.h). */
#include "app/cmd.h"
#include "app/load.h"
#include "app/manifest.h"
#include "app/out.h"
#include "base/clock.h"
#include "base/file.h"
#include "model/pack.h"

#include <string.h>

typedef struct options {
    const char *out;
    int64_t     threads;
    bool        fast, zstd;
} options;

static const wh_opt option_table[] = {
    WH_OPT_FLAG(options, fast, "fast", "round the weights to int8: faster for many tokens at once, not quite the same results"),
    WH_OPT_STRING(options, out, "out", "FILE", NULL, "-o FILE: where it goes"),
    WH_OPT_THREADS(options),
    WH_OPT_FLAG(options, zstd, "zstd", "compress it for shipping: smaller, but inflated into memory whenever it is opened"),
};

static wh_code hash(char hex[65], const char *path, wh_err *err)
{
    wh_map file;
    WH_TRY(wh_file_map(&file, path, err));
    wh_file_sha256(hex, file.data, file.size);
    wh_file_unmap(&file);
    return WH_OK;
}

static wh_code pack(const options *o, const char *reference, wh_loaded *l, wh_err *err)
{
    char source[65];
    WH_TRY(wh_manifest_resolve(&l->path, reference, err));
    WH_TRY(wh_par_create(&l->par, (int)o->threads, err));
    wh_out_progress("reading %s", wh_buf_str(&l->path));
    WH_TRY(hash(source, wh_buf_str(&l->path), err));
    WH_TRY(wh_model_open(&l->model, wh_buf_str(&l->path), 0, o->fast ? WH_MAT_FAST : WH_MAT_EXACT, l->par, err));
    wh_out_progress("writing %s", o->out);
    return wh_pack_write(o->out, l->model, source, o->zstd, l->par, err);
}

static wh_code report(const options *o, const wh_model *m, double seconds, wh_err *err)
{
    char   size[24];
    wh_map file;
    WH_TRY(wh_file_map(&file, o->out, err));
    wh_out_printf("%s: %s, made in %.1f s, %zu packed matrices\n", o->out, wh_out_bytes(size, (double)file.size), seconds, m->n_mats);
    wh_file_unmap(&file);
    return WH_OK;
}

int wh_cmd_pack(int argc, char **argv)
{
    options o = {0};
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}};
    static const char about[] =
        "Write a model (a name, an alias or a path) with its weights laid out as the kernels read them. All commands take such a "
        "file as they take a GGUF file, with the same results (unless it was made with --fast): it opens in no time, and processes that use it share its memory.";
    const wh_opt_spec spec = {"pack", "MODEL -o FILE [--fast] [--zstd]", about, groups, 1, 1, 1, false};
    static char out[] = "--out"; /* its short form is the only one of all commands: everybody types it here */
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "-o") == 0) argv[i] = out;
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_err err;
    wh_loaded l = {0};
    double start = wh_clock_now();
    wh_code code = o.out ? pack(&o, argv[0], &l, &err) : wh_err_set(&err, WH_ERR_ARG, "-o FILE is missing: where does the packed model go?");
    wh_out_progress("%s", "");
    if (code == WH_OK) code = report(&o, l.model, wh_clock_now() - start, &err);
    if (code != WH_OK) status = wh_out_error(&err);
    wh_load_free(&l);
    return status;
}
