/* show_tree: a search as a tree on the terminal.
 *
 * While it grows: the branches in play, redrawn in place, a line each; what was dropped is a count below its
 * parent. When it is done: the whole tree, what was dropped dim, solutions of the winning answer starred; of a large
 * one only what led to solutions, and counts. Where standard error is no terminal only the finished tree is written,
 * in plain lines without colours.
 */
#ifndef WH_APP_SHOW_TREE_H
#define WH_APP_SHOW_TREE_H

#include "search/driver.h"

typedef struct wh_show_tree {
    double shown; /* when */
    size_t drawn; /* lines on the terminal that will be drawn again */
} wh_show_tree;   /* starts as {0} */

/* For every event but DONE. */
void wh_show_tree_event(wh_show_tree *s, const wh_event *e);
/* DONE: winner is the group that won, -1: none. */
void wh_show_tree_done(wh_show_tree *s, const wh_event *e, int32_t winner);

#endif
