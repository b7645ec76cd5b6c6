/* capture: hidden states that a policy computes anyway while it samples, kept where `whet fit` looks for them.
 *
 * Of every sample that came to its end the states where a head on the policy reads its steps (rule before_blank_line), of
 * every problem the one at the end of its prompt: as wh_features_compute would make them, bit by bit, at no pass of its own.
 * What is missing (samples that were cut off have a step that nobody read) is left to that.
 */
#ifndef WH_APP_CAPTURE_H
#define WH_APP_CAPTURE_H

#include "app/load.h"
#include "search/backend.h"
#include "search/driver.h"

typedef struct wh_capture wh_capture;

/* The file is that of `whet fit --cache`, new or of the same model and layers. Borrows path and policy. */
wh_code wh_capture_open(wh_capture **out, const char *path, const wh_opt_ints *layers, const wh_loaded *policy, wh_err *err);
/* Generations of this backend, which has no PRM, are looked at from now on. */
void    wh_capture_backend(wh_capture *c, wh_backend *backend);
/* A problem's samples are done: each of them is one node of the tree. */
wh_code wh_capture_take(wh_capture *c, const wh_tree *t, const wh_result *r, wh_err *err);
/* WH_ERR_IO: the last states may not have reached the disk. */
wh_code wh_capture_close(wh_capture *c, wh_err *err);

#endif
