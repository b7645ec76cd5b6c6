/* machine: what this machine can do at best, measured, so that a speed can be given as a share of it. */
#ifndef WH_APP_MACHINE_H
#define WH_APP_MACHINE_H

#include "base/par.h"
#include "kern/mat.h"

/* Bytes per second that the threads of par read together from memory (not from caches). 0: no memory to try. */
double wh_machine_bandwidth(wh_par *par);

/* FLOP per second of the matmul kernel for a weight format in one of its forms when nothing has to come from memory: a small
 * matrix, `rows` activations. 0: there is no kernel for the type. */
double wh_machine_peak(wh_par *par, const wh_kern *kern, wh_mat_form form, wh_type type, size_t rows);

#endif
