#include "app/info_head.h"

#include "reward/prm.h"

#include <string.h>

static const char prefix[] = "whet.head.";

bool wh_info_is_head(const wh_gguf *g) { return wh_gguf_has(g, "whet.head.trunk_sha256"); }

/* The value of a key as text without quotes; false: it is not there. */
static bool get(wh_buf *value, const wh_gguf *g, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "%s%s", prefix, name);
    const wh_gguf_key *k = wh_gguf_find_key(g, key);
    wh_buf_clear(value);
    if (!k) return false;
    if (k->type == WH_GGUF_STR) {
        wh_gguf_str s = wh_gguf_key_str(k);
        for (size_t i = 0; i < s.len; i++) wh_buf_putc(value, (unsigned char)s.s[i] < ' ' || s.s[i] == 0x7f ? '?' : s.s[i]);
    } else {
        wh_gguf_print_value(value, k, 64);
    }
    return true;
}

/* "before" value "after", when there is a value. */
static void put(wh_buf *out, wh_buf *value, const wh_gguf *g, const char *before, const char *name, const char *after)
{
    if (get(value, g, name)) wh_buf_printf(out, "%s%s%s", before, wh_buf_str(value), after);
}

static void put_short(wh_buf *out, wh_buf *value, const wh_gguf *g, const char *name)
{
    if (get(value, g, name)) wh_buf_printf(out, " (sha256 %.12s...)", wh_buf_str(value));
}

static void put_metrics(wh_buf *out, const wh_gguf *g)
{
    static const char metric[] = "whet.head.metric.";
    const char *before = "unseen     ";
    for (size_t i = 0; i < wh_gguf_key_count(g); i++) {
        const wh_gguf_key *k = wh_gguf_key_at(g, i);
        float v;
        if (strncmp(k->name, metric, sizeof metric - 1) != 0 || wh_gguf_get_f32(g, k->name, &v, NULL) != WH_OK) continue;
        wh_buf_printf(out, "%s%s %.3f", before, k->name + sizeof metric - 1, (double)v);
        before = ", ";
    }
    if (before[0] == ',') wh_buf_putc(out, '\n');
}

static void put_evidence(wh_buf *out, const wh_gguf *g)
{
    float fails, holds, omits;
    if (wh_gguf_get_f32(g, "whet.prm.calibration.fails", &fails, NULL) != WH_OK ||
        wh_gguf_get_f32(g, "whet.prm.calibration.holds", &holds, NULL) != WH_OK)
        return;
    wh_buf_printf(out, "text       %+.2f log-odds where an equation fails, %+.2f where all hold", (double)fails, (double)holds);
    if (wh_gguf_get_f32(g, "whet.prm.calibration.omits", &omits, NULL) == WH_OK)
        wh_buf_printf(out, ", %+.2f where a number of the problem is left out", (double)omits);
    wh_buf_putc(out, '\n');
}

void wh_info_head(wh_buf *out, const wh_gguf *g)
{
    wh_buf v = {0};
    bool difficulty = get(&v, g, "kind") && strcmp(wh_buf_str(&v), "difficulty") == 0;
    wh_buf_puts(out, difficulty ? "head       difficulty: how often a sample will be right, from the prompt\n"
                                : "head       prm: how right a solution is so far\n");
    put(out, &v, g, "trunk      ", "trunk", "");
    if (!v.len) wh_buf_puts(out, "trunk     ");
    put_short(out, &v, g, "trunk_sha256");
    put(out, &v, g, ", behind block ", "layer", "");
    put(out, &v, g, ", read at the end of: ", "step", "\n");
    put(out, &v, g, "policy     ", "policy", "");
    bool policy = v.len > 0;
    put_short(out, &v, g, "policy_sha256");
    if (policy) wh_buf_putc(out, '\n');
    if (get(&v, g, "samples")) {
        wh_buf_printf(out, "fitted on  %s samples", wh_buf_str(&v));
        put(out, &v, g, " of ", "problems", " problems");
        put_short(out, &v, g, "data_sha256");
        put(out, &v, g, "; labels: ", "labels", "");
        float l2;
        if (wh_gguf_get_f32(g, "whet.head.l2", &l2, NULL) == WH_OK) wh_buf_printf(out, "; l2 %g", (double)l2);
        wh_buf_putc(out, '\n');
    }
    put_evidence(out, g);
    put_metrics(out, g);
    put(out, &v, g, "made       ", "date", "");
    bool date = v.len > 0;
    put(out, &v, g, " by: ", "command", "");
    if (date) wh_buf_putc(out, '\n');
    wh_buf_free(&v);
}

json_t *wh_info_head_json(const wh_gguf *g)
{
    json_t *o = json_object();
    wh_buf text = {0};
    for (size_t i = 0; i < wh_gguf_key_count(g); i++) {
        const wh_gguf_key *k = wh_gguf_key_at(g, i);
        if (strncmp(k->name, prefix, sizeof prefix - 1) != 0) continue;
        wh_buf_clear(&text);
        wh_gguf_print_value(&text, k, 64);
        json_object_set_new(o, k->name + sizeof prefix - 1, json_loads(wh_buf_str(&text), JSON_DECODE_ANY, NULL));
    }
    wh_buf_free(&text);
    return o;
}
