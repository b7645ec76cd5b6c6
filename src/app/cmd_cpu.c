/* whet cpu: the instruction sets of this processor and the kernel that each weight format gets. */
#include "app/cmd.h"
#include "app/out.h"
#include "kern/mat.h"

#include <stdio.h>

typedef struct options {
    const char *cpu_mask;
    bool        json;
} options;

static const wh_opt option_table[] = {
    WH_OPT_STRING(options, cpu_mask, "cpu-mask", "ISA", NULL, "pretend to be a smaller processor: c, avx2, ..."),
    WH_OPT_FLAG(options, json, "json", "as JSON"),
};

/* The batch sizes that are shown: one sequence, and many. */
static const size_t batches[] = {1, 16};

static void print_text(const char *model, wh_isa found, wh_isa allowed, const wh_kern *kern)
{
    wh_out_printf("processor  %s\ncores      %d\nkernels    %s\n\n", model, wh_cpu_cores(), wh_cpu_best(allowed));
    wh_out_printf("%-11s %-8s %-34s %s\n", "isa", "here", "needs", "since");
    for (size_t i = 0; i < WH_ISA_COUNT; i++) {
        const wh_isa_info *info = &wh_isa_table[i];
        wh_isa bit = (wh_isa)1 << i;
        wh_out_printf("%-11s %-8s %-34s %s\n", info->word, !(found & bit) ? "-" : allowed & bit ? "yes" : "masked", info->needs,
                      info->since);
    }
    wh_out_printf("\n%-8s %-12s %s\n", "format", "1 sequence", "16 sequences");
    for (int t = 0; t < WH_TYPE_COUNT; t++)
        if (wh_kern_isa(kern, WH_MAT_EXACT, (wh_type)t, 1))
            wh_out_printf("%-8s %-12s %s\n", wh_quant_table[t].name, wh_kern_isa(kern, WH_MAT_EXACT, (wh_type)t, batches[0]),
                      wh_kern_isa(kern, WH_MAT_EXACT, (wh_type)t, batches[1]));
}

static json_t *words(wh_isa set)
{
    json_t *a = json_array();
    for (size_t i = 0; i < WH_ISA_COUNT; i++)
        if (set & (wh_isa)1 << i) json_array_append_new(a, json_string(wh_isa_table[i].word));
    return a;
}

static void print_json(const char *model, wh_isa found, wh_isa allowed, const wh_kern *kern)
{
    json_t *kernels = json_object();
    for (int t = 0; t < WH_TYPE_COUNT; t++) {
        if (!wh_kern_isa(kern, WH_MAT_EXACT, (wh_type)t, 1)) continue;
        json_t *by_batch = json_object();
        for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
            char key[8];
            snprintf(key, sizeof key, "%zu", batches[b]);
            json_object_set_new(by_batch, key, json_string(wh_kern_isa(kern, WH_MAT_EXACT, (wh_type)t, batches[b])));
        }
        json_object_set_new(kernels, wh_quant_table[t].name, by_batch);
    }
    wh_out_json(json_pack("{s:s, s:i, s:o, s:o, s:s, s:o}", "processor", model, "cores", wh_cpu_cores(), "found", words(found),
                          "allowed", words(allowed), "best", wh_cpu_best(allowed), "kernels", kernels));
}

int wh_cmd_cpu(int argc, char **argv)
{
    options o = {0};
    const wh_opt_group groups[] = {{NULL, option_table, sizeof option_table / sizeof option_table[0], &o, NULL}};
    const wh_opt_spec spec = {"cpu", "[options]", "What this processor can do, and which kernel each weight format uses on it.",
                              groups, 1, 0, 0, false};
    size_t n;
    int status;
    if (!wh_cmd_begin(&spec, argc, argv, &n, &status)) return status;
    wh_err err;
    wh_isa found = wh_cpu_detect(), allowed = found;
    if (o.cpu_mask) {
        if (wh_cpu_parse_mask(&allowed, o.cpu_mask, &err) != WH_OK) return wh_out_error(&err);
        allowed &= found;
    }
    char model[128];
    wh_cpu_model(model, sizeof model);
    const wh_kern *kern = wh_kern_select(allowed);
    if (o.json) print_json(model, found, allowed, kern);
    else print_text(model, found, allowed, kern);
    return WH_EXIT_OK;
}
