#include "fit/head.h"

#include "gguf/gguf_write.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

static wh_code write_layers(wh_gguf_writer *w, const wh_head_info *info, wh_err *err)
{
    if (info->n_layers == 1) return wh_gguf_write_u32(w, "whet.head.layer", info->layers[0], err);
    return wh_gguf_write_array(w, "whet.head.layer", WH_GGUF_U32, info->layers, info->n_layers, err);
}

static wh_code write_origin(wh_gguf_writer *w, const wh_head_info *info, wh_err *err)
{
    const wh_fit_data *d = info->data;
    const wh_train_result *r = info->result;
    time_t now = time(NULL);
    struct tm day;
    char date[16] = "";
    if (gmtime_r(&now, &day)) strftime(date, sizeof date, "%Y-%m-%d", &day);
    WH_TRY(wh_gguf_write_str(w, "whet.head.trunk", info->trunk, err));
    if (info->trunk_bytes) WH_TRY(wh_gguf_write_value(w, "whet.head.trunk_bytes", WH_GGUF_U64, &info->trunk_bytes, err));
    WH_TRY(wh_gguf_write_str(w, "whet.head.policy", d->policy_name, err));
    WH_TRY(wh_gguf_write_str(w, "whet.head.policy_sha256", d->policy_sha256, err));
    WH_TRY(wh_gguf_write_str(w, "whet.head.labels", info->labels, err));
    WH_TRY(wh_gguf_write_str(w, "whet.head.data_sha256", d->sha256, err));
    WH_TRY(wh_gguf_write_u32(w, "whet.head.problems", (uint32_t)d->n, err));
    WH_TRY(wh_gguf_write_u32(w, "whet.head.samples", (uint32_t)d->n_samples, err));
    WH_TRY(wh_gguf_write_u32(w, "whet.head.rows", (uint32_t)info->rows, err));
    WH_TRY(wh_gguf_write_f32(w, "whet.head.l2", (float)r->l2, err));
    if (r->net.hidden) WH_TRY(wh_gguf_write_u32(w, "whet.head.epochs", (uint32_t)r->epochs, err));
    WH_TRY(wh_gguf_write_f32(w, "whet.head.slope", (float)r->calibration.slope, err));
    WH_TRY(wh_gguf_write_f32(w, "whet.head.offset", (float)r->calibration.offset, err));
    for (size_t i = 0; i < info->n_metrics; i++) {
        char name[64];
        snprintf(name, sizeof name, "whet.head.metric.%s", info->metrics[i].name);
        if (!isnan(info->metrics[i].value)) WH_TRY(wh_gguf_write_f32(w, name, (float)info->metrics[i].value, err));
    }
    WH_TRY(wh_gguf_write_str(w, "whet.head.date", date, err));
    return wh_gguf_write_str(w, "whet.head.command", info->command, err);
}

static wh_code declare(wh_gguf_writer *w, const char *name, size_t cols, size_t rows, wh_err *err)
{
    const uint64_t dims[] = {cols, rows};
    return wh_gguf_write_tensor(w, name, WH_TYPE_F32, rows ? 2 : 1, dims, err);
}

static wh_code write_net(wh_gguf_writer *w, const wh_net *net, wh_err *err)
{
    size_t hidden = net->hidden, last = hidden ? hidden : net->d;
    const char *weight = hidden ? "whet.prm.1.weight" : "whet.prm.0.weight", *bias = hidden ? "whet.prm.1.bias" : "whet.prm.0.bias";
    if (hidden) {
        WH_TRY(declare(w, "whet.prm.0.weight", net->d, hidden, err));
        WH_TRY(declare(w, "whet.prm.0.bias", hidden, 0, err));
    }
    WH_TRY(declare(w, weight, last, 1, err));
    WH_TRY(declare(w, bias, 1, 0, err));
    WH_TRY(wh_gguf_write_begin(w, err));
    if (hidden) {
        WH_TRY(wh_gguf_write_data(w, net->w1, hidden * net->d * sizeof(float), err));
        WH_TRY(wh_gguf_write_data(w, net->b1, hidden * sizeof(float), err));
    }
    WH_TRY(wh_gguf_write_data(w, net->w2, last * sizeof(float), err));
    return wh_gguf_write_data(w, &net->b2, sizeof(float), err);
}

/* Slope and offset are in the net; this is what a net does not see. */
static wh_code write_evidence(wh_gguf_writer *w, const wh_prm_calibration *c, wh_err *err)
{
    if (c->fails == 0 && c->holds == 0 && c->omits == 0) return WH_OK;
    WH_TRY(wh_gguf_write_f32(w, "whet.prm.calibration.fails", (float)c->fails, err));
    WH_TRY(wh_gguf_write_f32(w, "whet.prm.calibration.holds", (float)c->holds, err));
    return wh_gguf_write_f32(w, "whet.prm.calibration.omits", (float)c->omits, err);
}

static wh_code write_all(wh_gguf_writer *w, const wh_head_info *info, wh_err *err)
{
    bool prm = info->kind == WH_HEAD_PRM;
    WH_TRY(wh_gguf_write_str(w, "general.architecture", "whet-head", err));
    if (prm) WH_TRY(wh_gguf_write_str(w, "whet.prm.kind", "head", err));
    WH_TRY(wh_gguf_write_str(w, "whet.head.kind", prm ? "prm" : "difficulty", err));
    WH_TRY(wh_gguf_write_str(w, "whet.head.trunk_sha256", info->trunk_sha256, err));
    WH_TRY(write_layers(w, info, err));
    WH_TRY(wh_gguf_write_str(w, "whet.head.step", info->step, err));
    WH_TRY(write_evidence(w, &info->result->calibration, err));
    WH_TRY(write_origin(w, info, err));
    return write_net(w, &info->result->net, err);
}

wh_code wh_head_write(const char *path, const wh_head_info *info, wh_err *err)
{
    wh_gguf_writer *w;
    WH_TRY(wh_gguf_write_create(&w, path, 32, err));
    wh_code code = write_all(w, info, err);
    if (code == WH_OK) return wh_gguf_write_finish(w, err);
    wh_gguf_write_abort(w);
    return code;
}
