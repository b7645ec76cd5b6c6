/* expr: one answer as tokens (lex.c) and as a tree (expr.c). Internal to answer/.
 *
 * Everything a tree can cost is bounded by WH_ANSWER_MAX: a token has at least one byte of the answer, a node
 * at least one token. Nesting is bounded by WH_ANSWER_DEPTH; sums and products are n-ary, so a tree is never
 * deeper than a small multiple of that and may be walked by recursion.
 */
#ifndef WH_ANSWER_EXPR_H
#define WH_ANSWER_EXPR_H

#include "answer/answer.h"
#include "answer/value.h"

typedef enum {
    WH_TOK_END,
    WH_TOK_NUM,  /* digits with at most one '.', no separators; text in expr.chars */
    WH_TOK_SYM,  /* a variable: one letter, or a TeX command such as theta */
    WH_TOK_WORD, /* a word of prose, a name or a unit */
    WH_TOK_OP,   /* one character as itself: + - * / ^ _ ( ) [ ] { } , ; : ! | ' & */
    WH_TOK_ROW,  /* \\ in a matrix */
    WH_TOK_SETOPEN,
    WH_TOK_SETCLOSE, /* \{ \} */
    WH_TOK_AND,
    WH_TOK_OR, /* the words: they separate */
    WH_TOK_FRAC,
    WH_TOK_SQRT,
    WH_TOK_BINOM,
    WH_TOK_OVER,
    WH_TOK_FN,
    WH_TOK_LOG, /* .arg of FN: a wh_fn */
    WH_TOK_PI,
    WH_TOK_E,
    WH_TOK_I,
    WH_TOK_INF,
    WH_TOK_EMPTY,
    WH_TOK_PM,
    WH_TOK_MP,
    WH_TOK_DEG,
    WH_TOK_REL, /* .arg: wh_rel */
    WH_TOK_CUP,
    WH_TOK_CAP,
    WH_TOK_MINUS, /* unions and their kin */
    WH_TOK_FLOOR,
    WH_TOK_CEIL,
    WH_TOK_CLOSE, /* \lfloor \lceil, and what closes either */
    WH_TOK_BEGIN, /* .arg: 1 for a determinant */
    WH_TOK_FINISH /* \begin{..matrix}, \end{..} */
} wh_tok_kind;

typedef enum {
    WH_REL_NONE,
    WH_REL_EQ,
    WH_REL_NE,
    WH_REL_LT,
    WH_REL_LE,
    WH_REL_GT,
    WH_REL_GE,
    WH_REL_IN
} wh_rel;

typedef struct wh_tok {
    uint8_t  kind, arg; /* wh_tok_kind; operator character, wh_fn or wh_rel */
    bool     space;     /* white space stands before it */
    uint16_t at, len;   /* its text in expr.chars */
    uint16_t period;    /* NUM: how many last digits repeat */
} wh_tok;

typedef enum {
    WH_N_NUM,
    WH_N_SYM,
    WH_N_PI,
    WH_N_E,
    WH_N_I,
    WH_N_INF,
    WH_N_ADD,
    WH_N_NEG,
    WH_N_PM, /* PM: + or - its child; op: '+' as written, '-' for \mp */
    WH_N_MUL,
    WH_N_INV,
    WH_N_POW,
    WH_N_ROOT, /* children: radicand, index */
    WH_N_FN,   /* op: wh_fn */
    WH_N_LOG,  /* children: argument, base */
    WH_N_FACT,
    WH_N_BINOM,
    WH_N_DEG,
    WH_N_DET,   /* children: ROWs */
    WH_N_BASE,  /* 52_8: children: NUM as written, base */
    WH_N_LIST,  /* a, b, ... without brackets; op '|': separated by "or" */
    WH_N_TUPLE, /* op, close: its brackets */
    WH_N_SET,
    WH_N_UNION,
    WH_N_CAP,
    WH_N_MINUS,
    WH_N_RATIO, /* a : b */
    WH_N_MATRIX,
    WH_N_ROW,
    WH_N_REL /* children with .rel = how each relates to the one before it */
} wh_node_kind;

typedef struct wh_node {
    uint8_t  kind, op, close, rel;
    bool     paren;           /* stood in round brackets */
    bool     decimal;         /* NUM written with a point */
    uint16_t at, len;         /* SYM: its name in expr.chars; op: how many primes */
    uint16_t sub_at, sub_len; /* SYM: its subscript */
    int32_t  first, next;     /* first child, next sibling; -1: none */
    wh_value value;           /* NUM */
} wh_node;

typedef struct wh_expr {
    char    *chars; /* texts of tokens and names */
    size_t   n_chars, cap_chars;
    wh_tok  *toks; /* ends with WH_TOK_END */
    size_t   n_toks, cap_toks;
    wh_node *nodes;
    size_t   n_nodes, cap_nodes;
    int32_t  root;    /* -1: does not read as mathematics */
    bool     percent; /* a percent sign was dropped */
    bool     nomem;
} wh_expr;

/* Read text (n <= WH_ANSWER_MAX bytes) as tokens. Units, currency, words around numbers and layout are gone. */
void wh_lex_answer(wh_expr *e, const char *text, size_t n);
/* The tree of the tokens; root stays -1 when they are no expression. */
void wh_expr_parse(wh_expr *e);
void wh_expr_free(wh_expr *e);

#endif
