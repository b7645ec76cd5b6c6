/* trace: a search as it happens, one JSON object a line, for machines and for `whet trace`.
 *
 *   {"event": "start", "question", "strategy", "params", "policy", "prm", "seed", ...}   whatever the command knows
 *   {"event": "step", "node", "parent", "index", "lane", "depth", "text", "tokens", "logprob", "end", "fate", "seconds"}
 *   {"event": "score", "node", "scores", "value", "seconds"}
 *   {"event": "fate", "node", "fate", "seconds"}
 *   {"event": "sample", "node", "answer", "seconds"}
 *   {"event": "done", "nodes": [{"node", "fate", "value", "visits", "scores"}], "samples": [{"index", "node", "answer", "group"}], ...}
 *
 * Nodes are numbered; node 0 is the root, the question itself. A step that was begun ahead of need and never wanted
 * comes right before "done", with fate "speculative". seconds count from the start of the search; nothing else
 * depends on how fast the machine is, except the order of the lines.
 */
#ifndef WH_APP_TRACE_H
#define WH_APP_TRACE_H

#include "search/driver.h"

#include <jansson.h>

typedef struct wh_trace wh_trace;

/* about: fields for "start" besides the question; taken over. */
wh_code wh_trace_open(wh_trace **out, const char *path, json_t *about, wh_err *err);
/* Every event but DONE becomes a line. NULL: nothing happens. */
void    wh_trace_event(wh_trace *t, const wh_event *e);
/* DONE; result: more fields for its line; taken over. */
void    wh_trace_done(wh_trace *t, const wh_event *e, json_t *result);
/* WH_ERR_IO when not all of it could be written. NULL is WH_OK. */
wh_code wh_trace_close(wh_trace *t, wh_err *err);

#endif
