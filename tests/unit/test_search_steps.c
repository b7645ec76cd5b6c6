/* search: strategies that grow answers step by step, on hand-made trees with known winners.
 *
 * A script gives the text of each place in the tree; the score of a step stands in its text after '@'.
 * What comes out is compared as a whole: one line per node, "path|end|fate|value|text" with ~ for a newline.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "search_run.h"

#include <math.h>

static const char *from_table(void *user, const char *path, uint64_t seed)
{
    (void)seed;
    for (const char *const *table = user; *table; table += 2)
        if (strcmp(table[0], path) == 0) return table[1];
    fail_msg("nobody should sample at %s", path);
    return NULL;
}

static double from_text(void *user, const char *question, const char *const *steps, size_t n)
{
    (void)user, (void)question;
    const char *at = strrchr(steps[n - 1], '@');
    return at ? atof(at + 1) : 0.5;
}

static void check(const char *command, const char *const *table, const char *tree, const char *result)
{
    static const size_t rows[] = {64, 1, 3};
    for (int i = 0; i < 3; i++) {
        run r = {0};
        fake f = {.script = from_table, .score = from_text, .user = (void *)(uintptr_t)table, .rows = rows[i]};
        assert_int_equal(run_one(&r, &f, command, 0), WH_OK);
        if (tree) assert_string_equal(wh_buf_str(&r.tree), tree);
        if (result) assert_string_equal(wh_buf_str(&r.result), result);
        assert_int_equal(r.error.code, WH_OK);
        assert_memory_equal(&r.policy, &f.policy_total, sizeof r.policy);
        assert_memory_equal(&r.prm, &f.prm_total, sizeof r.prm);
        run_free(&r);
    }
}

/* ---- beam ------------------------------------------------------------------------------------------------ */

static void beam_takes_the_best_and_the_earlier_of_equals(void **state)
{
    (void)state;
    static const char *const table[] = {
        "0", "a@.2\n\n",  "1", "b@.9\n\n", "2", "c@.9\n\n", "3", "d@.5\n\n",
        /* 1 is identical to 0 and leaves; 2 differs only in white space, and leaves too */
        "1/0", "e@.3\n\n", "1/1", "e@.3\n\n", "1/2", "  e@.3 \n\n", "1/3", "f \\boxed{7}@.4\n\n", NULL};
    check("beam n=4", table,
          "0|none|pruned|0.2|a@.2~~\n"
          "1|none|in play|0.9|b@.9~~\n"
          "1/0|none|pruned|0.3|e@.3~~\n"
          "1/1|none|duplicate|0|e@.3~~\n"
          "1/2|none|duplicate|0|  e@.3 ~~\n"
          "1/3|boxed|solution|0.4|f \\boxed{7}@.4~~\n"
          "2|none|pruned|0.9|c@.9~~\n"
          "3|none|pruned|0.5|d@.5~~\n",
          "0|boxed|22|0.9,0.4|7|b@.9~~f \\boxed{7}@.4~~\n");
}

/* A box in a thought is none: the path goes on until one stands outside; a thought that is cut off has no answer. */
static void thoughts_hold_no_answers(void **state)
{
    (void)state;
    static const char *const closed[] = {"0", "<think>a \\boxed{1}@.9\n\n", "0/0", "b</think> \\boxed{2}@.8\n\n", NULL},
                      *const open[] = {"0", "a \\boxed{1}@.9\n\n", "0/0", "b 5@.5", NULL};
    static const struct {
        const char *const *table;
        bool               thinks;
        const char        *result;
    } cases[] = {{closed, false, "0|boxed|47|0.9,0.8|2|<think>a \\boxed{1}@.9~~b</think> \\boxed{2}@.8~~\n"},
                 {open, false, "0|boxed|16|0.9|1|a \\boxed{1}@.9~~\n"},
                 {open, true, "0|eos|22|0.9,0.5|1|a \\boxed{1}@.9~~b 5@.5\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        run r = {.thinks = cases[i].thinks};
        fake f = {.script = from_table, .score = from_text, .user = (void *)(uintptr_t)cases[i].table, .rows = 4};
        assert_int_equal(run_one(&r, &f, "beam n=1 width=1", 0), WH_OK);
        assert_string_equal(wh_buf_str(&r.result), cases[i].result);
        run_free(&r);
    }
}

/* N = 8, M = 4: two survive, chosen over all children, not per parent. */
static void beam_selects_globally(void **state)
{
    (void)state;
    static const char *const table[] = {
        "0", "a@.9\n\n", "1", "b@.8\n\n", "2", "c@.1\n\n", "3", "d@.1\n\n",
        "4", "e@.1\n\n", "5", "f@.1\n\n", "6", "g@.1\n\n", "7", "h@.1\n\n",
        "0/0", "i@.1\n\n", "0/1", "j@.2\n\n", "0/2", "k@.3\n\n", "0/3", "l@.3\n\n",
        "1/0", "m@.4\n\n", "1/1", "n@.5 \\boxed{1}", "1/2", "o@.6 \\boxed{2}", "1/3", "p@.5 \\boxed{3}", NULL};
    check("beam n=8", table, NULL,
          "0|eos|20|0.8,0.6|2|b@.8~~o@.6 \\boxed{2}\n"
          "1|eos|20|0.8,0.5|1|b@.8~~n@.5 \\boxed{1}\n");
}

/* A child that has ended competes like any other and, once chosen, keeps its slot for good. */
static void beam_end_keeps_its_slot(void **state)
{
    (void)state;
    static const char *const table[] = {
        "0", "a \\boxed{1}@.6", "1", "b@.8\n\n", "2", "c@.5\n\n", "3", "d@.1\n\n",
        "4", "e@.1\n\n",        "5", "f@.1\n\n", "6", "g@.1\n\n", "7", "h@.1\n\n",
        /* Both are better than "a", yet only one slot is left. */
        "1/0", "i@.9 \\boxed{2}", "1/1", "j@.95 \\boxed{3}", "1/2", "k@.3\n\n", "1/3", "l@.3\n\n", NULL};
    check("beam n=8", table,
          "0|eos|solution|0.6|a \\boxed{1}@.6\n"
          "1|none|in play|0.8|b@.8~~\n"
          "1/0|eos|pruned|0.9|i@.9 \\boxed{2}\n"
          "1/1|eos|solution|0.95|j@.95 \\boxed{3}\n"
          "1/2|none|pruned|0.3|k@.3~~\n"
          "1/3|none|pruned|0.3|l@.3~~\n"
          "2|none|pruned|0.5|c@.5~~\n"
          "3|none|pruned|0.1|d@.1~~\n"
          "4|none|pruned|0.1|e@.1~~\n"
          "5|none|pruned|0.1|f@.1~~\n"
          "6|none|pruned|0.1|g@.1~~\n"
          "7|none|pruned|0.1|h@.1~~\n",
          "0|eos|14|0.6|1|a \\boxed{1}@.6\n"
          "1|eos|21|0.8,0.95|3|b@.8~~j@.95 \\boxed{3}\n");
}

static void beam_drops_overlong_steps_and_tries_again(void **state)
{
    (void)state;
    static const char *const table[] = {
        "0", "a@.1\n\n", "1", "this step is much too long@.9\n\n",
        "0/0", "also much too long\n\n", "0/1", "this one as well, but it ends\n\n",
        "0/2", "again much too long\n\n", "0/3", "b \\boxed{4}@.3\n\n", NULL};
    check("beam n=2 width=2 step-tokens=16", table,
          "0|none|in play|0.1|a@.1~~\n"
          "0/0|none|overlong|0|also much too lo\n"
          "0/1|none|overlong|0|this one as well\n"
          "0/2|none|overlong|0|again much too l\n"
          "0/3|boxed|solution|0.3|b \\boxed{4}@.3~~\n"
          "1|none|overlong|0|this step is muc\n",
          "0|boxed|22|0.1,0.3|4|a@.1~~b \\boxed{4}@.3~~\n");
}

static void beam_gives_up_after_three_attempts(void **state)
{
    (void)state;
    static const char *const table[] = {
        "0", "a@.1\n\n",
        "0/0", "much too long 1\n\n", "0/1", "much too long 2\n\n", "0/2", "much too long 3\n\n", NULL};
    check("beam n=1 step-tokens=8", table,
          "0|stuck|solution|0.1|a@.1~~\n"
          "0/0|none|overlong|0|much too\n"
          "0/1|none|overlong|0|much too\n"
          "0/2|none|overlong|0|much too\n",
          "0|stuck|6|0.1|.1|a@.1~~\n");
}

/* The first steps are accepted by force when all are too long. */
static void beam_takes_overlong_first_steps_back(void **state)
{
    (void)state;
    static const char *const table[] = {"0", "too long 1@.3\n\n", "1", "too 2@.4 long\n\n", NULL};
    check("beam n=2 width=2 step-tokens=8", table,
          "0|length|solution|0.5|too long\n"
          "1|length|pruned|0.4|too 2@.4\n",
          NULL);
    check("beam n=2 width=1 step-tokens=8", table, NULL,
          "0|length|8|0.5||too long\n"
          "1|length|8|0.4|.4|too 2@.4\n");
}

static void beam_ends_at_its_limits(void **state)
{
    (void)state;
    static const char *const table[] = {"0", "a@.1\n\n", "0/0", "b@.2\n\n", "0/0/0", "c@.3\n\n", NULL};
    check("beam n=1 depth=2", table, NULL, "0|depth|12|0.1,0.2|.2|a@.1~~b@.2~~\n");
    check("beam n=1 max-tokens=14", table, NULL, "0|length|14|0.1,0.2,0|.2|a@.1~~b@.2~~c@\n");
    check("beam n=1 max-tokens=12", table, NULL, "0|length|12|0.1,0.2|.2|a@.1~~b@.2~~\n");
    /* Blank steps count for depth, are worth what their parent is, and are not scored. */
    static const char *const blank[] = {"0", "a@.1\n\n", "0/0", "\n\n", "0/0/0", "c@.3\n\n", NULL};
    check("beam n=1 depth=3", blank,
          "0|none|in play|0.1|a@.1~~\n"
          "0/0|none|in play|0.1|~~\n"
          "0/0/0|depth|solution|0.3|c@.3~~\n",
          "0|depth|14|0.1,0.3|.3|a@.1~~~~c@.3~~\n");
}

static void granularity_is_steps_per_score(void **state)
{
    (void)state;
    static const char *const table[] = {
        "0", "a@.1\n\n", "0+1", "b@.9\n\n", "1", "c@.8\n\n", "1+1", "d@.2\n\n", "0/0", "e \\boxed{5}@.3\n\n",
        "0/1", "f@.1\n\n", "0/1+1", "g@.2\n\n", NULL};
    check("beam n=2 width=2 granularity=2", table,
          "0|none|in play|0.9|a@.1~~b@.9~~\n"
          "0/0|boxed|solution|0.3|e \\boxed{5}@.3~~\n"
          "0/1|none|pruned|0.2|f@.1~~g@.2~~\n"
          "1|none|pruned|0.2|c@.8~~d@.2~~\n",
          "0|boxed|28|0.1,0.9,0.3|5|a@.1~~b@.9~~e \\boxed{5}@.3~~\n");
    /* Whole answers: best-of-N. */
    static const char *const whole[] = {"0", "a@.1\n\nb \\boxed{1}@.2", "1", "c@.1\n\nd \\boxed{2}@.3", NULL};
    check("beam n=2 width=2 granularity=0", whole, NULL, "0|eos|20|0.1,0.3|2|c@.1~~d \\boxed{2}@.3\n");
}

static void beam_hf_collects_n_and_keeps_the_later_of_equals(void **state)
{
    (void)state;
    /* N = 4, M = 2: two survive. 1 ends at once; of the equals 2 and 3 and 0 the later two survive. */
    static const char *const table[] = {
        "0", "a@.5\n\n", "1", "b \\boxed{1}@.1", "2", "c@.5\n\n", "3", "d@.5\n\n",
        /* survivors 2, 3 take turns: 2/0 3/0 2/1 3/1; \boxed does not end a step */
        "2/0", "e \\boxed{2}@.3\n\n", "3/0", "f@.4 \\boxed{3}", "2/1", "g@.2\n\n", "3/1", "h@.1\n\n",
        "2/0/0", "i@.4", "2/0/1", "i@.4", "2/1/0", "k \\boxed{4}@.5", "2/1/1", "l@.2 \\boxed{5}", NULL};
    check("beam n=4 width=2 variant=hf", table,
          "0|none|pruned|0.5|a@.5~~\n"
          "1|eos|solution|0.1|b \\boxed{1}@.1\n"
          "2|none|in play|0.5|c@.5~~\n"
          "2/0|none|in play|0.3|e \\boxed{2}@.3~~\n"
          "2/0/0|eos|solution|0.4|i@.4\n"
          "2/0/1|eos|in play|0.4|i@.4\n"
          "2/1|none|in play|0.2|g@.2~~\n"
          "2/1/0|eos|solution|0.5|k \\boxed{4}@.5\n"
          "2/1/1|eos|in play|0.2|l@.2 \\boxed{5}\n"
          "3|none|in play|0.5|d@.5~~\n"
          "3/0|eos|solution|0.4|f@.4 \\boxed{3}\n"
          "3/1|none|pruned|0.1|h@.1~~\n",
          "0|eos|14|0.1|1|b \\boxed{1}@.1\n"
          "1|eos|20|0.5,0.4|3|d@.5~~f@.4 \\boxed{3}\n"
          "2|eos|26|0.5,0.3,0.4|2|c@.5~~e \\boxed{2}@.3~~i@.4\n"
          "3|eos|26|0.5,0.2,0.5|4|c@.5~~g@.2~~k \\boxed{4}@.5\n");
}

static void beam_hf_runs_to_the_end_at_its_last_round(void **state)
{
    (void)state;
    static const char *const table[] = {"0", "a@.5\n\n", "1", "b@.6\n\n", "1/0", "c@.1\n\nd \\boxed{6}@.2",
                                        "1/1", "e@.1\n\nf \\boxed{7}@.3\n\n", NULL};
    check("beam n=2 width=2 variant=hf depth=2", table, NULL,
          "0|eos|26|0.6,0.1,0.2|6|b@.6~~c@.1~~d \\boxed{6}@.2\n"
          "1|eos|28|0.6,0.1,0.3|7|b@.6~~e@.1~~f \\boxed{7}@.3~~\n");
}

/* ---- dvts ------------------------------------------------------------------------------------------------ */

static void dvts_subtrees_do_not_compete(void **state)
{
    (void)state;
    /* N = 4, M = 2: both of the first subtree's steps are better than all of the second's. */
    static const char *const table[] = {
        "0", "a@.9\n\n", "1", "b@.8\n\n", "2", "c@.1\n\n", "3", "c@.1\n\n",
        "0/0", "e \\boxed{1}@.2", "0/1", "f \\boxed{2}@.3", "2/0", "g \\boxed{3}@.7", "2/1", "h@.6\n\n", NULL};
    check("dvts n=4 width=2", table,
          "0|none|in play|0.9|a@.9~~\n"
          "0/0|eos|pruned|0.2|e \\boxed{1}@.2\n"
          "0/1|eos|solution|0.3|f \\boxed{2}@.3\n"
          "1|none|pruned|0.8|b@.8~~\n"
          "2|none|in play|0.1|c@.1~~\n"
          "2/0|eos|solution|0.7|g \\boxed{3}@.7\n"
          "2/1|none|pruned|0.6|h@.6~~\n"
          "3|none|duplicate|0|c@.1~~\n",
          "0|eos|20|0.9,0.3|2|a@.9~~f \\boxed{2}@.3\n"
          "1|eos|20|0.1,0.7|3|c@.1~~g \\boxed{3}@.7\n");
}

/* Equal steps in different subtrees are no duplicates. */
static void dvts_deduplicates_within_a_subtree(void **state)
{
    (void)state;
    static const char *const table[] = {"0", "\\boxed{1}@.9", "1", "\\boxed{1}@.9", "2", "\\boxed{1}@.9",
                                        "3", "\\boxed{1}@.9", NULL};
    check("dvts n=4 width=2", table,
          "0|eos|solution|0.9|\\boxed{1}@.9\n"
          "1|eos|duplicate|0|\\boxed{1}@.9\n"
          "2|eos|solution|0.9|\\boxed{1}@.9\n"
          "3|eos|duplicate|0|\\boxed{1}@.9\n",
          NULL);
}

static void dvts_hf_returns_the_whole_last_round(void **state)
{
    (void)state;
    static const char *const table[] = {
        "0", "a@.5\n\n", "1", "b@.5\n\n", "2", "c \\boxed{1}@.9\n\n", "3", "d@.1\n\n",
        "0/0", "e \\boxed{2}@.1\n\n", "0/1", "f@.3 \\boxed{3}", NULL};
    check("dvts n=4 width=2 variant=hf", table,
          "0|none|in play|0.5|a@.5~~\n"
          "0/0|boxed|solution|0.1|e \\boxed{2}@.1~~\n"
          "0/1|eos|solution|0.3|f@.3 \\boxed{3}\n"
          "1|none|pruned|0.5|b@.5~~\n"
          "2|boxed|solution|0.9|c \\boxed{1}@.9~~\n"
          "3|stuck|solution|0.1|d@.1~~\n",
          "0|boxed|22|0.5,0.1|2|a@.5~~e \\boxed{2}@.1~~\n"
          "1|eos|20|0.5,0.3|3|a@.5~~f@.3 \\boxed{3}\n"
          "2|boxed|16|0.9|1|c \\boxed{1}@.9~~\n"
          "3|stuck|6|0.1|.1|d@.1~~\n");
}

/* ---- lookahead, rebase, particle, mcts --------------------------------------------------------------------- */

static void lookahead_ranks_by_where_steps_lead(void **state)
{
    (void)state;
    static const char *const table[] = {
        "0", "a@.9\n\n", "1", "b@.2\n\n",
        "0/0", "x@.1\n\n", "1/0", "y@.8\n\n", /* the rollouts */
        "1/1", "c \\boxed{1}@.3", "1/2", "d@.9\n\n", "1/2/0", "z@.25\n\n", NULL};
    check("lookahead n=2 width=2 ahead=1", table,
          "0|none|pruned|0.1|a@.9~~\n"
          "0/0|none|pruned|0.1|x@.1~~\n"
          "1|none|in play|0.8|b@.2~~\n"
          "1/0|none|pruned|0.8|y@.8~~\n"
          "1/1|eos|solution|0.3|c \\boxed{1}@.3\n"
          "1/2|none|pruned|0.25|d@.9~~\n"
          "1/2/0|none|pruned|0.25|z@.25~~\n",
          "0|eos|20|0.2,0.3|1|b@.2~~c \\boxed{1}@.3\n");
}

static void rebase_shares_by_scores(void **state)
{
    (void)state;
    /* exp(v/.2) of .8 .6 .4 .2 is 1 : .368 : .135 : .05; of 4 samples 2.58 -> 3 go to the first, 1 to the second.
     * Then one path has ended: 3 samples are left, 2.19 -> 2 and 1 of them for .7 and .5. */
    static const char *const table[] = {
        "0", "a@.6\n\n", "1", "b@.8\n\n", "2", "c@.2\n\n", "3", "d@.4\n\n",
        "1/0", "e@.7\n\n", "1/1", "f \\boxed{1}@.1", "1/2", "g@.5\n\n", "0/0", "h@.1\n\n",
        "1/0/0", "\\boxed{2}@.1", "1/0/1", "\\boxed{2}@.1", "1/2/0", "\\boxed{3}@.1", NULL};
    check("rebase n=4 balance=0.2", table,
          "0|none|in play|0.6|a@.6~~\n"
          "0/0|none|pruned|0.1|h@.1~~\n"
          "1|none|in play|0.8|b@.8~~\n"
          "1/0|none|in play|0.7|e@.7~~\n"
          "1/0/0|eos|solution|0.1|\\boxed{2}@.1\n"
          "1/0/1|eos|solution|0.1|\\boxed{2}@.1\n"
          "1/1|eos|solution|0.1|f \\boxed{1}@.1\n"
          "1/2|none|in play|0.5|g@.5~~\n"
          "1/2/0|eos|solution|0.1|\\boxed{3}@.1\n"
          "2|none|pruned|0.2|c@.2~~\n"
          "3|none|pruned|0.4|d@.4~~\n",
          "0|eos|20|0.8,0.1|1|b@.8~~f \\boxed{1}@.1\n"
          "1|eos|24|0.8,0.7,0.1|2|b@.8~~e@.7~~\\boxed{2}@.1\n"
          "2|eos|24|0.8,0.7,0.1|2|b@.8~~e@.7~~\\boxed{2}@.1\n"
          "3|eos|24|0.8,0.5,0.1|3|b@.8~~g@.5~~\\boxed{3}@.1\n");
}

static void particles_gather_where_scores_are_high(void **state)
{
    (void)state;
    static const char *const table[] = {
        "0", "a@0\n\n", "1", "b@.99999\n\n", "2", "c@0\n\n", "1/0", "d \\boxed{1}@.9", "1/1", "e \\boxed{2}@.9",
        "1/2", "f \\boxed{1}@.9", NULL};
    check("particle n=3 resample-temperature=0.1", table, NULL,
          "0|eos|24|1,0.9|1|b@.99999~~d \\boxed{1}@.9\n"
          "1|eos|24|1,0.9|2|b@.99999~~e \\boxed{2}@.9\n"
          "2|eos|24|1,0.9|1|b@.99999~~f \\boxed{1}@.9\n");
    /* An end is drawn again as it stands, and counts as often as it was drawn. */
    static const char *const ends[] = {"0", "a@0\n\n", "1", "\\boxed{5}@.99999", "2", "c@0\n\n", NULL};
    check("particle n=3 resample-temperature=0.1", ends, NULL,
          "0|eos|16|1|5|\\boxed{5}@.99999\n"
          "1|eos|16|1|5|\\boxed{5}@.99999\n"
          "2|eos|16|1|5|\\boxed{5}@.99999\n");
}

static void mcts_follows_the_promising_and_explores(void **state)
{
    (void)state;
    /* Simulation 1: the root's children, rollout of 1 is bad (.1); so simulation 2 goes to 0, whose child 0/0 is an
     * end; simulation 3 to 0 again? It is expanded: its open child 0/1 is next. */
    static const char *const table[] = {
        "0", "a@.6\n\n", "1", "b@.7\n\n", "1/0", "bad@.5\n\n\\boxed{1}@.1",
        "0/0", "\\boxed{2}@.9", "0/1", "c@.8\n\n", "0/1/0", "\\boxed{3}@.7", "0/1/1", "d@.2\n\n", NULL};
    check("mcts n=3 width=2 parallel=1 exploration=0", table,
          "0|none|in play|0.7333|a@.6~~\n"
          "0/0|eos|solution|0.9|\\boxed{2}@.9\n"
          "0/1|none|in play|0.75|c@.8~~\n"
          "0/1/0|eos|solution|0.7|\\boxed{3}@.7\n"
          "0/1/1|none|in play|0.2|d@.2~~\n"
          "1|none|in play|0.4|b@.7~~\n"
          "1/0|eos|solution|0.1|bad@.5~~\\boxed{1}@.1\n",
          NULL);
}

/* ---- all of them ------------------------------------------------------------------------------------------- */

enum { STEPS = 6, LETTERS = 30 };

static uint64_t hash(const char *s, uint64_t seed)
{
    uint64_t h = seed + 1;
    for (; *s; s++) h = fake_mix(h, (unsigned char)*s);
    return h;
}

typedef struct forest {
    bool   vary;  /* steps of different lengths */
    size_t group; /* steps in a node */
} forest;

/* Answers of STEPS steps, 4 different ones, with random scores. */
static const char *random_steps(void *user, const char *path, uint64_t seed)
{
    static char text[4096];
    const forest *f = user;
    size_t n = 0, depth = 0;
    for (const char *c = path; *c; c++) depth += *c == '/' ? f->group : *c == '+';
    for (size_t i = depth; i < STEPS; i++) {
        uint64_t h = fake_mix(hash(path, seed), i);
        int len = f->vary ? (int)(h % LETTERS) : LETTERS - 8;
        for (int k = 0; k < len; k++) text[n++] = (char)('a' + (h >> k) % 26);
        unsigned score = (unsigned)(h >> 40) % 1000, answer = (unsigned)(h >> 20) % 4;
        if (i + 1 < STEPS) n += (size_t)snprintf(text + n, sizeof text - n, " @.%03u\n\n", score);
        else n += (size_t)snprintf(text + n, sizeof text - n, "\\boxed{%u} @.%03u", answer, score);
    }
    return text;
}

/* Every strategy of strategy.def, and what else is worth a run. */
static const char *const variants[] = {
    "beam n=8 variant=hf", "beam n=9 width=2 granularity=2", "dvts n=16", "dvts n=8 width=2 variant=hf", "lookahead n=8 ahead=2",
    "mcts n=8 parallel=1 width=3",
};
enum { VARIANTS = sizeof variants / sizeof variants[0] };

/* The c-th of them, NULL after the last; valid until the next call. */
static const char *command(size_t c)
{
    static char text[64];
    if (c >= wh_strategy_count) return c - wh_strategy_count < VARIANTS ? variants[c - wh_strategy_count] : NULL;
    const wh_strategy *s = wh_strategy_table[c];
    snprintf(text, sizeof text, "%s%s", s->name, wh_param_find(s->params, s->n_params, "n") ? " n=8" : "");
    return text;
}

static wh_code run_command(run *r, fake *f, const char *words, uint64_t seed, bool vary, bool speculate)
{
    forest trees = {.vary = vary, .group = strstr(words, "granularity=2") ? 2 : 1};
    f->script = random_steps;
    f->score = from_text;
    f->user = &trees;
    wh_backend backend = fake_open(f);
    wh_driver_opts opts = {.on_event = run_event, .user = r, .speculate = speculate};
    wh_driver *d;
    wh_err err;
    assert_int_equal(wh_driver_create(&d, &backend, &opts, &err), WH_OK);
    run_add(r, d, words, seed);
    bool idle = false;
    while (!idle) assert_int_equal(wh_driver_step(d, &idle, &err), WH_OK);
    wh_driver_free(d);
    fake_close(f);
    return r->error.code;
}

/* The same seed grows the same tree, whatever the batch, and whether or not rows run ahead. */
static void trees_do_not_depend_on_company(void **state)
{
    (void)state;
    size_t saved = 0;
    for (size_t c = 0; command(c); c++)
        for (uint64_t seed = 0; seed < 6; seed++) {
            run first = {0};
            size_t steps = 0;
            for (int k = 0; k < 5; k++) {
                static const size_t rows[] = {64, 1, 5, 64, 9};
                run r = {0};
                fake f = {.rows = rows[k]};
                assert_int_equal(run_command(&r, &f, command(c), seed, true, k >= 3), WH_OK);
                assert_true(r.n_samples > 0);
                assert_memory_equal(&r.policy, &f.policy_total, sizeof r.policy);
                if (k == 0) {
                    first = r;
                    steps = f.n_steps;
                    continue;
                }
                assert_string_equal(wh_buf_str(&r.tree), wh_buf_str(&first.tree));
                assert_string_equal(wh_buf_str(&r.result), wh_buf_str(&first.result));
                if (k < 3) assert_int_equal(wh_ledger_total(&r.speculative), 0);
                if (k == 3) {
                    assert_true(f.n_steps <= steps);
                    saved += steps - f.n_steps;
                    assert_int_equal(r.policy.decode_tokens - r.speculative.decode_tokens, first.policy.decode_tokens);
                }
                run_free(&r);
            }
            run_free(&first);
        }
    assert_true(saved > 500); /* running ahead shortens the search */
}

static void cancel_at_every_event(void **state)
{
    (void)state;
    for (size_t c = 0; command(c); c++) {
        size_t samples = 0;
        for (uint64_t at = 1;; at++) {
            run r = {.cancel_at = at};
            fake f = {.rows = 5};
            assert_int_equal(run_command(&r, &f, command(c), 3, true, true), WH_OK);
            assert_int_equal(r.n_done, 1);
            assert_memory_equal(&r.policy, &f.policy_total, sizeof r.policy);
            samples += r.n_samples;
            bool cancelled = r.cancelled;
            run_free(&r);
            if (!cancelled) break;
        }
        assert_true(samples > 0);
    }
}

static void out_of_memory_everywhere(void **state)
{
    (void)state;
    for (size_t c = 0; command(c); c++)
        for (long k = 0;; k += 1 + k / 32) {
            forest trees = {.group = 1};
            fake f = {.script = random_steps, .score = from_text, .user = &trees, .rows = 5};
            if (!run_out_of_memory(&f, command(c), true, k)) break;
        }
}

static void needs_a_prm(void **state)
{
    (void)state;
    fake f = {.script = random_steps};
    wh_backend backend = fake_open(&f);
    wh_driver_opts opts = {.speculate = false};
    wh_driver *d;
    wh_err err;
    assert_int_equal(wh_driver_create(&d, &backend, &opts, &err), WH_OK);
    static const int32_t prompt[] = {1};
    wh_params params;
    wh_problem p = {.question = "q", .prompt = prompt, .n_prompt = 1, .params = &params};
    run_parse(&p.strategy, &params, "beam");
    assert_int_equal(wh_driver_add(d, NULL, &p, &err), WH_ERR_ARG);
    assert_string_equal(err.msg, "the strategy 'beam' needs a process reward model");
    wh_driver_free(d);
    fake_close(&f);
}

/* What a scheduler is told before is what the ledger says after. */
static void flops_are_predicted(void **state)
{
    (void)state;
    for (size_t c = 0; command(c); c++) {
        double policy = 0, prm = 0, predicted_policy = 0, predicted_prm = 0;
        for (uint64_t seed = 0; seed < 50; seed++) {
            run r = {0};
            fake f = {.rows = 64};
            assert_int_equal(run_command(&r, &f, command(c), seed, false, false), WH_OK);
            policy += (double)wh_ledger_total(&r.policy);
            prm += (double)wh_ledger_total(&r.prm);
            wh_task task = {
                .prompt_tokens = 6,
                .prm_prompt_tokens = 8,
                .answer_tokens = STEPS * LETTERS,
                .step_tokens = LETTERS,
                .prm_answer_tokens = STEPS * LETTERS,
                .policy = f.policy,
                .prm = f.prm,
                .has_prm = true,
            };
            const wh_strategy *s;
            wh_params params;
            run_parse(&s, &params, command(c));
            double a, b;
            s->flops(&a, &b, &task, &params);
            predicted_policy += a;
            predicted_prm += b;
            run_free(&r);
        }
        assert_true(fabs(predicted_policy / policy - 1) < 0.2);
        assert_true(prm == 0 ? predicted_prm == 0 : fabs(predicted_prm / prm - 1) < 0.2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beam_takes_the_best_and_the_earlier_of_equals),
        cmocka_unit_test(thoughts_hold_no_answers),
        cmocka_unit_test(beam_selects_globally),
        cmocka_unit_test(beam_end_keeps_its_slot),
        cmocka_unit_test(beam_drops_overlong_steps_and_tries_again),
        cmocka_unit_test(beam_gives_up_after_three_attempts),
        cmocka_unit_test(beam_takes_overlong_first_steps_back),
        cmocka_unit_test(beam_ends_at_its_limits),
        cmocka_unit_test(granularity_is_steps_per_score),
        cmocka_unit_test(beam_hf_collects_n_and_keeps_the_later_of_equals),
        cmocka_unit_test(beam_hf_runs_to_the_end_at_its_last_round),
        cmocka_unit_test(dvts_subtrees_do_not_compete),
        cmocka_unit_test(dvts_deduplicates_within_a_subtree),
        cmocka_unit_test(dvts_hf_returns_the_whole_last_round),
        cmocka_unit_test(lookahead_ranks_by_where_steps_lead),
        cmocka_unit_test(rebase_shares_by_scores),
        cmocka_unit_test(particles_gather_where_scores_are_high),
        cmocka_unit_test(mcts_follows_the_promising_and_explores),
        cmocka_unit_test(trees_do_not_depend_on_company),
        cmocka_unit_test(cancel_at_every_event),
        cmocka_unit_test(out_of_memory_everywhere),
        cmocka_unit_test(needs_a_prm),
        cmocka_unit_test(flops_are_predicted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
