/* Fuzz the heads of process reward models: whatever the file, either a sentence, or a head that gives numbers. */
#include "kern/mat.h"
#include "reward/prm_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) abort();                                                                           \
    } while (0)

static wh_par *par;

/* Hidden states of every width that a first layer in the file could want. */
static void read_head(const wh_gguf *g, size_t d)
{
    wh_prm_mlp *head;
    wh_err err = {0};
    if (wh_prm_mlp_read(&head, g, d, wh_kern_select(0), par, &err) != WH_OK) {
        CHECK(!head && err.msg[0]);
        return;
    }
    float *hidden = calloc(d, sizeof *hidden);
    CHECK(hidden);
    const float *out = wh_prm_mlp_run(head, hidden);
    size_t n = wh_prm_mlp_outputs(head);
    CHECK((n == 1 || n == 2) && wh_prm_mlp_flops(head) >= 2 * d);
    double score = wh_prm_of_head(out, n);
    CHECK(isnan(score) || (score >= 0 && score <= 1)); /* sums of huge weights overflow */
    free(hidden);
    wh_prm_mlp_free(head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!par) CHECK(wh_par_create(&par, 1, NULL) == WH_OK);
    unsigned char *copy = malloc(size + 1); /* aligned, and its end is guarded */
    CHECK(copy);
    memcpy(copy, data, size);
    wh_gguf *g;
    if (wh_gguf_open_memory(&g, copy, size, NULL) == WH_OK) {
        wh_buf text = {0};
        wh_prm_describe(&text, g);
        wh_buf_free(&text);
        const wh_gguf_tensor *w = wh_gguf_find_tensor(g, "whet.prm.0.weight");
        if (w && w->dims[0] <= 1 << 16) read_head(g, (size_t)w->dims[0]);
        read_head(g, 32);
        wh_gguf_close(g);
    }
    free(copy);
    return 0;
}
