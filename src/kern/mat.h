/* mat: weight matrices packed for the kernels, and their product with activations.
 *
 * The packed copy holds exactly the values of the model file, or (WH_MAT_FAST) rounded ones, in panels of 16 rows interleaved by 4 k,
 * the same for every instruction set and every batch size (CONTRACT.md).
 */
#ifndef WH_KERN_MAT_H
#define WH_KERN_MAT_H

#include "base/cpu.h"
#include "base/par.h"
#include "kern/act.h"
#include "quant/quant.h"

enum { WH_PANEL = 16 };

/* How the values of a file are kept. EXACT: as they are. FAST: rounded to int8 with a scale for each row and 256
 * columns, whatever the format of the file was, as one chain of integer products is then enough; matrices whose
 * columns are no multiple of 64 stay exact. bench/results/fast.md has the speed and its price. */
typedef enum { WH_MAT_EXACT, WH_MAT_FAST } wh_mat_form;

typedef struct wh_mat wh_mat; /* immutable once packed; may be shared by threads */

/* Pack a tensor of n rows of k values of `type` as they lie in the file (rows contiguous), on the threads
 * of par. The source is not needed afterwards. WH_ERR_UNSUPPORTED: no kernel for the type or k % 32 != 0. */
wh_code wh_mat_pack(wh_mat **out, wh_mat_form form, wh_type type, const void *rows, size_t n, size_t k, wh_par *par, wh_err *err);
/* The same in parts, for who has many matrices to pack: a matrix whose panels hold nothing yet, then its panels
 * [begin, end) of wh_mat_panel_count from the whole tensor's rows. work: wh_mat_work bytes, one per thread; threads may
 * take disjoint panels. */
wh_code wh_mat_create(wh_mat **out, wh_mat_form form, wh_type type, size_t n, size_t k, wh_err *err);
void    wh_mat_pack_panels(wh_mat *w, const void *rows, size_t begin, size_t end, void *work);
size_t  wh_mat_panel_count(const wh_mat *w);
size_t  wh_mat_work(const wh_mat *w);
/* A matrix that was packed before: its wh_mat_panels, wherever they lie now, are borrowed and must outlive it.
 * WH_ERR_FORMAT: `bytes` is not what the shape takes, or panels is not aligned to 64 bytes. */
wh_code wh_mat_borrow(wh_mat **out, wh_mat_form form, wh_type type, const void *panels, size_t bytes, size_t n, size_t k, wh_err *err);
void    wh_mat_free(wh_mat *w);
wh_type wh_mat_type(const wh_mat *w); /* in the file */
size_t  wh_mat_rows(const wh_mat *w);
size_t  wh_mat_cols(const wh_mat *w);
size_t  wh_mat_bytes(const wh_mat *w); /* of the packed copy: what a pass over it reads */
const void *wh_mat_panels(const wh_mat *w); /* so many bytes, aligned to 64 */
wh_act_way wh_mat_way(const wh_mat *w);   /* how it wants its activations: f, by32 or by256 */

/* The kernels chosen for a machine: one function per packed layout. */
typedef struct wh_kern wh_kern;
/* allowed: wh_cpu_detect(), possibly cut down by a mask. The table is static and never freed. */
const wh_kern *wh_kern_select(wh_isa allowed);
/* The ISA word of the kernel that this table uses for whole blocks of the type at batch m; NULL: none. */
const char *wh_kern_isa(const wh_kern *kern, wh_mat_form form, wh_type type, size_t m);

/* Quantize rows [r0, r1) of a->f in each of `ways`. Pure; threads may take disjoint rows. */
void wh_act_quantize(const wh_kern *kern, wh_act *a, size_t r0, size_t r1, unsigned ways);
/* The same for columns [k0, k0 + n) of those rows, taken from x (r1 - r0 rows, x_stride floats apart) instead of
 * a->f. k0 % 256 == 0; n % 256 == 0 or k0 + n == k. */
void wh_act_quantize_part(const wh_kern *kern, wh_act *a, size_t r0, size_t r1, const float *x, size_t x_stride,
                          size_t k0, size_t n, unsigned ways);

/* y[i*y_stride + j - n0] = x row (x0 + i) · w row j     for i < m, n0 <= j < n1
 *
 * n0 % 16 == 0; n1 % 16 == 0 or n1 == rows of w. y is overwritten. scratch: wh_mat_scratch(w) bytes,
 * 64-byte aligned, one per thread. Pure; threads may work on disjoint column ranges. 2·m·(n1-n0)·k FLOPs. */
void   wh_mat_mul(const wh_kern *kern, const wh_mat *w, float *y, size_t y_stride, const wh_act *x, size_t x0,
                  size_t m, size_t n0, size_t n1, void *scratch);
size_t wh_mat_scratch(const wh_mat *w);

#endif
