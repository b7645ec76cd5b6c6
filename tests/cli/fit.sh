# whet fit, the heads it makes, and whet score over journals, on models whose behaviour is known. There is nothing to learn
# from them: what fits find where there is something is in tests/unit/test_fit.c.
. "$(dirname "$0")/lib"
m=$golden/markov_steps.gguf
awk 'BEGIN { for (i = 1; i <= 40; i++) printf "{\"question\": \"What is %d + %d? (%d)\", \"answer\": \"%d\"}\n", i % 3, i % 2, i, 1 + i % 3 }' >set.jsonl
head -n 20 set.jsonl >one.jsonl
tail -n 20 set.jsonl >two.jsonl
for p in one two; do
    "$whet" rollout --policy "$m" --data $p.jsonl --samples 8 --journal $p >/dev/null 2>&1
done
both="--journal one --journal two --data one.jsonl --data two.jsonl"
steady() { sed 's/ tokens in [0-9.: s]*$/ tokens in S/; s/ in [0-9.:]* s$/ in S s/; s/ computed in .*/ computed in S/; s/[0-9.]* [GM]FLOP in .*/F in S/; /texts .* left$/d'; }
note a head on the policy, and one on another model: the states are computed once
check fit prm --trunk "$m" $both --cache own.states --curve -o own.gguf 2>&1 | steady
check fit prm --trunk "$m" $both --cache own.states --positions last --l2 0.1 -o last.gguf 2>&1 | steady | sed -n '1,5p'
check fit prm --trunk "$golden/prm/judge.gguf" $both --cache other.states --layers 1,2 --samples-per-problem 2 2>&1 | steady | grep 'fitted\|computed'
check fit prm --trunk "$golden/prm/judge.gguf" $both --cache other.states --layers 1 --samples-per-problem 2 --arch mlp --hidden 32 --epochs 2 -o other.gguf 2>&1 | steady | grep 'fitted\|computed'
check fit difficulty --trunk "$m" $both --cache own.states -o hard.gguf 2>&1 | steady | sed 's/Spearman.*/MEASURES/'
note arithmetic is looked at, or not: there is none in these texts
check fit prm --trunk "$m" $both --cache own.states --l2 1 --evidence no 2>&1 | steady | grep 'calibration'
check fit prm --trunk "$m" $both --cache own.states --evidence maybe
note one sample of each problem: nothing to order within a problem
check fit prm --trunk "$m" $both --cache own.states --samples-per-problem 1 --l2 0.1 2>&1 | steady | grep '^last step' | sed 's/0\.[0-9]*/AUC/'
note labels by completions: few, kept, and the same whatever was there before
check fit prm --trunk "$m" --policy "$m" $both --cache own.states --mc 2 --mc-problems 2 --mc-journal mc -o soft.gguf 2>&1 | steady | grep labelled
zstdcat mc | grep '"record"' | sort >labels
wc -l <labels
head -c 2000 mc >cut
check fit prm --trunk "$m" --policy "$m" $both --cache own.states --mc 2 --mc-problems 2 --mc-journal cut --threads 1 2>&1 | steady | grep -o '.*labelled'
zstdcat cut | grep '"record"' | sort | cmp - labels && echo "the same labels"
"$whet" info soft.gguf | grep -o 'labels: [^;]*'
check fit prm --trunk "$m" --policy "$golden/markov.gguf" $both --cache own.states --mc 3
note which journal comes first, or how many threads there are, changes nothing
strings_of() { "$whet" info "$1" --json | sed 's/.*"head"://; s/"date".*"formats"/"formats"/'; }
"$whet" fit prm --trunk "$m" --journal two --journal one --data set.jsonl --threads 1 -o again.gguf >/dev/null 2>&1
strings_of own.gguf >a
strings_of again.gguf | cmp a - && echo "the same head"
note the states that sampling makes anyway are those that a fit would compute
"$whet" rollout --policy "$m" --data set.jsonl --samples 8 --journal drawn --states free.states >/dev/null 2>&1
own="--journal drawn --data set.jsonl --step before_blank_line --l2 1"
check fit prm --trunk "$m" $own --cache free.states -o free.gguf 2>&1 | steady | grep 'fitted\|computed'
check fit prm --trunk "$m" $own -o paid.gguf 2>&1 | steady | grep 'fitted\|computed'
strings_of free.gguf >a
strings_of paid.gguf | cmp a - && echo "the same head"
note and scores are made of them
check score --prm "$m" --head free.gguf --journal drawn --data set.jsonl --cache free.states --out kept | grep -c 'FLOP in'
"$whet" score --prm "$m" --head free.gguf --journal drawn --data set.jsonl --out computed >/dev/null 2>&1
scores_of() { zstdcat "$1" | grep '"record":"scores"' | sort | sed 's/,"flops".*//; s/\(0\.[0-9][0-9]\)[0-9]*/\1/g'; }
scores_of kept >a
scores_of computed | cmp a - && wc -l <a
check score --prm "$m" --journal drawn --data set.jsonl --kind judge --cache free.states
check score --prm "$m" --head free.gguf --journal drawn --data set.jsonl --cache none.states
check score --prm "$m" --head free.gguf --journal drawn --data set.jsonl --cache own.states | grep -c 'FLOP in'
check score --prm "$golden/prm/judge.gguf" --head other.gguf --journal drawn --data set.jsonl --cache free.states
check fit difficulty --trunk "$m" $own --cache free.states 2>&1 | steady | grep 'fitted\|computed'
check rollout --policy "$m" --data set.jsonl --journal none --states none.states --layers 99
check rollout --policy "$m" --data set.jsonl --journal none --layers 1
check rollout --policy "$m" --data set.jsonl --journal none --states set.jsonl
note a kill keeps the states that were written, and a torn file goes on
head -c 20000 own.states >torn
check fit prm --trunk "$m" $both --cache torn --l2 1 2>&1 | steady | grep 'fitted'
[ "$(wc -c <torn)" -gt 20000 ] && echo "it grew"
note what info says
check info own.gguf | sed 's/^made .* by:/made DATE by:/; s/^file .*/file/'
check info hard.gguf | grep 'head\|policy'
note the heads at work
check solve --policy "$m" --prm-head own.gguf --n 4 --json 'What is 1 + 2?' | grep -o '"prm":"[^"]*"'
check score --prm "$m" --head own.gguf $both --out scores | grep 'majority\|some right\|samples' # the votes would be by noise
check score --prm "$m" --head own.gguf $both --out scores --json | grep -o '"problems":[0-9]*,"pass"'
zstdcat scores | grep -c '"record":"scores"'
head -c 3000 scores >cut
check score --prm "$m" --head own.gguf $both --out cut --json 2>&1 | sed 's/"flops.*//; s/of [0-9]* of/of K of/' >b
"$whet" score --prm "$m" --head own.gguf $both --out scores --json 2>/dev/null | sed 's/"flops.*//' | tail -n 1 >a
tail -n 1 b | cmp a - && echo "cut: the same"
check score --prm "$golden/prm/judge.gguf" --kind judge $both --limit-problems 5 --json | grep -o '"samples":[0-9]*,"problems":[0-9]*'
check score --prm "$golden/prm/judge.gguf" --kind judge $both --out scores
note a head that comes with Whet is taken by itself, where the policy is the one that it is for
mkdir -p share/heads
cp own.gguf hard.gguf share/heads/
prm_of() { "$whet" solve "$@" --n 2 --json 'What is 1 + 2?' 2>/dev/null | grep -o '"prm":["n][^,}]*'; }
prm_of --policy "$m"
prm_of --policy "$m" --prm none
prm_of --policy "$m" --strategy majority
prm_of --policy "$golden/markov.gguf"
"$whet" pack "$m" -o packed.gguf >/dev/null
prm_of --policy packed.gguf
"$whet" fit prm --trunk "$golden/prm/judge.gguf" $both --l2 1 -o share/heads/other.gguf >/dev/null 2>&1
prm_of --policy "$m" --prm "$golden/prm/judge.gguf"
prm_of --policy "$golden/markov.gguf" --prm "$golden/prm/judge.gguf" || check solve --policy "$golden/markov.gguf" --prm "$golden/prm/judge.gguf" 'What is 1 + 2?'
check eval --policy "$m" --data one.jsonl --limit 2 --n 2 --json | grep -o '"prm":["n][^,}]*'
check solve --policy "$m" --prm none --prm-head own.gguf 'What is 1 + 2?'
rm -r share
note how hard problems are, by a head on the policy
check difficulty --policy "$m" --data one.jsonl --head hard.gguf --limit 3 --batch 2 | sed 's/"pass":0[0-9.]*/"pass":P/'
note a bank takes scores and estimates of difficulty that were made apart from its journal
"$whet" difficulty --policy "$m" --data set.jsonl --head hard.gguf >hard.jsonl 2>/dev/null
"$whet" score --prm "$m" --head own.gguf $both --out scores >/dev/null 2>&1
check bank one two --scores scores --difficulty hard.jsonl -o bank
zstdcat bank | sed -n 1p | grep -o '"prm":{"kind":"[a-z]*"'
zstdcat bank | sed -n 2p | grep -o '"scores":\[\|"prm_each":\[\|"prompt_pass":' | sort
check calibrate --bank bank --orders 2 -o profile.json | grep '^prompt\|^estimator' | sed 's/ [0-9.].*/ MEASURES/'
note scores of the fits that had not seen a problem, for a profile of a head on the problems that it was fitted on
"$whet" fit prm --trunk "$m" $own --cache free.states --unseen fair -o free.gguf >/dev/null 2>&1
"$whet" fit difficulty --trunk "$m" $own --cache free.states --unseen fair.jsonl -o hard.gguf >/dev/null 2>&1
check bank drawn --scores fair --difficulty fair.jsonl -o fair.bank
check calibrate --bank fair.bank --orders 2 -o fair.json | grep -c 'PRM puts\|^prompt'
mkdir -p share/profiles
cp fair.json share/profiles/
"$whet" solve --policy "$m" --prm-head free.gguf --budget 40M 'What is 1 + 2?' 2>&1 | grep -o 'no profile: priors' || echo "with the profile"
rm -r share
note a plan knows what the prompt lets expect and what scores are worth
check plan --policy "$m" --prm-head free.gguf --difficulty-head hard.gguf --profile fair.json --budget 40M 'What is 1 + 2?' | sed -n '/^the PRM/s/[0-9][0-9.]*/N/gp; /^by its/s/[0-9][0-9.]*/N/gp' | sed 's/probably [a-z]*/probably BIN/'
check plan --policy "$m" --prm-head free.gguf --difficulty-head hard.gguf --profile fair.json --budget 40M --json 'What is 1 + 2?' | grep -o '"prm":"[^"]*"\|"score_flops":[0-9.]*'
check plan --policy "$m" --prm-head hard.gguf --budget 40M 'What is 1 + 2?'
check fit prm --trunk "$m" $own --unseen fair
check bank one two --scores one -o bank
check bank one two --difficulty set.jsonl -o bank
head -c 4000 scores >some
check bank one two --scores some -o bank 2>&1 | sed 's/sample [0-9]* of problem [0-9]*/sample S of problem P/'
check difficulty --policy "$m" --data one.jsonl --head own.gguf
check difficulty --policy "$golden/markov.gguf" --data one.jsonl --head hard.gguf
check difficulty --policy "$m" --data one.jsonl
check difficulty --policy "$m" --head hard.gguf
note heads that are wrong, or used wrongly
check solve --policy "$golden/markov.gguf" --prm-head own.gguf 'What is 1 + 2?'
check score --prm "$golden/prm/judge.gguf" --head own.gguf $both
check solve --policy "$m" --prm-head hard.gguf 'What is 1 + 2?'
head -c 900 own.gguf >damaged.gguf
check solve --policy "$m" --prm-head damaged.gguf 'What is 1 + 2?'
note a head with a hidden layer
check score --prm "$golden/prm/judge.gguf" --head other.gguf $both --samples-per-problem 2 --json | grep -o '"samples":[0-9]*,"problems":[0-9]*'
note nonsense
check fit
check fit reward
check fit prm --trunk "$m" --data set.jsonl
check fit prm --trunk "$m" --journal one
check fit prm --journal one --data one.jsonl
check fit prm --trunk "$m" --journal one --data two.jsonl
check fit prm --trunk "$m" $both --limit-problems 7
check fit prm --trunk "$m" $both --layers 2
check fit prm --trunk "$m" $both --folds 1
check fit prm --trunk "$m" $both --arch mlp --hidden 48
check fit prm --trunk none.gguf $both
check fit prm --trunk "$m" --journal set.jsonl --data set.jsonl
check fit prm --trunk "$m" $both --cache one
check fit prm --trunk "$m" $both --cache other.states
check fit prm --trunk "$golden/prm/judge.gguf" $both --cache own.states
"$whet" rollout --policy "$golden/markov.gguf" --data one.jsonl --samples 2 --journal three >/dev/null 2>&1
check fit prm --trunk "$m" $both --journal three
check score --prm "$m" --head own.gguf --journal one
check score --prm "$golden/prm/skywork.gguf" --json --data set.jsonl
finish
