/* numbers: the numbers of a problem that its solution leaves out.
 *
 * Who solves a word problem uses what it gives. A small model that answers without one of the numbers has mostly lost a
 * sentence of the problem on the way; no score has to guess what can be looked up.
 */
#ifndef WH_ANSWER_NUMBERS_H
#define WH_ANSWER_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>

enum { WH_NUMBERS_MAX = 64 }; /* different ones of a problem that are looked for: its first */

/* Does some number of the problem stand nowhere in the solution (n bytes each, any bytes)? Numbers are what digits make,
 * and are the same when their values are: "1,200.0" is 1200, and "20% off" or "20 cents" is found in 0.2 too. 0, 1 and
 * ordinals ("10th") are not looked for. Linear in both. */
bool wh_numbers_left_out(const char *problem, size_t n_problem, const char *solution, size_t n_solution);

#endif
