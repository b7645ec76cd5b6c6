/* chat_llama3: <|start_header_id|>role<|end_header_id|>\n\n ... <|eot_id|>
 *
 * Llama 3.1 and later always open with a system turn that names two dates. Today's date is the template's
 * own default, so that a prompt is the same every day (the paper's runs had it too).
 * Texts are trimmed; one that is to be continued keeps its end, because the model goes on right there
 * (Liu et al. put the "\n\n" of a step back after the template removed it).
 */
#include "text/chat_impl.h"

#include <string.h>

static wh_code setup(wh_chat *chat, wh_tok_str template_, wh_err *err)
{
    (void)err;
    chat->dated = wh_chat_contains(template_, "Cutting Knowledge Date: December 2023");
    return WH_OK;
}

static void open_turn(wh_chat_text *out, const char *role)
{
    wh_chat_put_marker(out, "<|start_header_id|>");
    wh_chat_put(out, role);
    wh_chat_put_marker(out, "<|end_header_id|>");
    wh_chat_put(out, "\n\n");
}

static wh_code render(const wh_chat *chat, wh_chat_text *out, const wh_chat_msg *m, size_t n, bool open,
                      wh_err *err)
{
    (void)err;
    size_t i = 0;
    wh_chat_put_token(out, chat, wh_tok_bos(chat->tok));
    if (chat->dated) {
        open_turn(out, "system");
        wh_chat_put(out, "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n");
        if (n && m[0].role == WH_CHAT_SYSTEM) wh_chat_put_str(out, wh_chat_trim(m[i++].text));
        wh_chat_put_marker(out, "<|eot_id|>");
    }
    for (; i < n; i++) {
        open_turn(out, wh_chat_role_names[m[i].role]);
        if (wh_chat_continues(m, i, n, open)) {
            wh_chat_put_str(out, m[i].text);
            return WH_OK;
        }
        wh_chat_put_str(out, wh_chat_trim(m[i].text));
        wh_chat_put_marker(out, "<|eot_id|>");
    }
    if (open) open_turn(out, "assistant");
    return WH_OK;
}

/* method: evaluate.py cot_prompt_dict["llama"], the same as in Hugging Face's search-and-learn */
static const char solve_system[] =
    "Solve the following math problem efficiently and clearly:\n\n"
    "- For simple problems (2 steps or fewer):\nProvide a concise solution with minimal explanation.\n\n"
    "- For complex problems (3 steps or more):\nUse this step-by-step format:\n\n"
    "## Step 1: [Concise description]\n[Brief explanation and calculations]\n\n"
    "## Step 2: [Concise description]\n[Brief explanation and calculations]\n\n"
    "...\n\n"
    "Regardless of the approach, always conclude with:\n\n"
    "Therefore, the final answer is: $\\boxed{answer}$. I hope it is correct.\n\n"
    "Where [answer] is just the final number or expression that solves the problem.";

const wh_chat_family wh_chat_llama3 = {
    .name = "llama3",
    .marker = "<|start_header_id|>",
    .setup = setup,
    .render = render,
    .solve = {.system = solve_system, .suffix = ""},
};
