/* checkasm: what the kernel checks share. */
#ifndef WH_CHECKASM_H
#define WH_CHECKASM_H

#include "kern/kern.h"

/* Memory that ends exactly at a page nobody may touch. */
typedef struct guarded {
    void  *map;
    size_t map_bytes;
    void  *p; /* `bytes` bytes, the last one before the forbidden page */
    size_t bytes;
} guarded;

guarded guarded_alloc(size_t bytes);
void    guarded_free(guarded *g);

/* Random numbers that depend on the order of the calls alone. */
uint32_t random_u32(void);
int      random_in(int lo, int hi); /* both included */
float    random_float(float lo, float hi);
/* Where the sequence stands, to draw the same numbers once more. */
uint64_t random_save(void);
void     random_restore(uint64_t saved);

/* Call fn(a) with known values in all callee-saved registers. NULL, or what the kernel did wrong. */
const char *checked_call(wh_mm_fn *fn, const wh_mm *a);

/* Check a kernel against its twin; prints what differs and returns false then. */
bool check_mm(const wh_mm_entry *entry);
/* Time it for a few batch sizes. */
void bench_mm(const wh_mm_entry *entry);

/* Check the operations of ops.def whose names contain the word, for every instruction set of this CPU; adds to the
 * counts. */
void check_ops(const char *word, int *passed, int *failed);

#endif
