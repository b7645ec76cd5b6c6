/* info_head: what a head file says about itself (fit/head.h), for `whet info`. */
#ifndef WH_APP_INFO_HEAD_H
#define WH_APP_INFO_HEAD_H

#include "gguf/gguf_read.h"

#include <jansson.h>

bool    wh_info_is_head(const wh_gguf *g);
/* Append lines for people; what the file does not say is left out. */
void    wh_info_head(wh_buf *out, const wh_gguf *g);
/* {"kind": ..., "layer": ..., "metric": {...}, ...}: all keys under whet.head. */
json_t *wh_info_head_json(const wh_gguf *g);

#endif
