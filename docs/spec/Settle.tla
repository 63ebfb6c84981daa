------------------------------- MODULE Settle -------------------------------
(***************************************************************************)
(* A parent whose status is recounted from its children, while operators   *)
(* retry some of them. This is the rule that agent/duties/settle.py keeps; *)
(* README.md beside this file has it in words.                             *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, TLC

CONSTANTS
    Children,
    Settlers,         \* processes that settle: two bridges may overlap
    MaxGeneration,    \* retries of each child by an operator
    MaxDeaths,        \* of settlers, all together
    Guarded           \* FALSE: a recount is written whatever has happened to the parent meanwhile

VARIABLES
    parent,           \* the document of the parent
    child,            \* the documents of its children
    settling,         \* by settler: what it has read so far
    deaths            \* how many there have been

vars == <<parent, child, settling, deaths>>

Final == {"completed", "failed"}   \* a cancelled child counts like one that failed

Absent == [status |-> "absent", generation |-> 0, reopens |-> FALSE]
Resting == [step |-> "rests", fence |-> 0, child |-> "none", generation |-> 0, read |-> {},
            verdict |-> "completed"]

Init ==
    /\ parent = [status |-> "processing", fence |-> 0]
    /\ child = [c \in Children |-> Absent]
    /\ settling = [s \in Settlers |-> Resting]
    /\ deaths = 0

\* Children are stored after their parent, one by one.
Create(c) ==
    /\ child[c].status = "absent"
    /\ child' = [child EXCEPT ![c].status = "pending"]
    /\ UNCHANGED <<parent, settling, deaths>>

\* All that Lease.tla is about, in one step.
End(c) ==
    /\ child[c].status = "pending"
    /\ \E status \in Final : child' = [child EXCEPT ![c].status = status]
    /\ UNCHANGED <<parent, settling, deaths>>

\* One write of the child, which also says that its parent is to be reopened: who retries may die
\* right after it.
Retry(c) ==
    /\ child[c].status = "failed" /\ child[c].generation < MaxGeneration
    /\ child' = [child EXCEPT ![c] = [status |-> "pending", generation |-> @.generation + 1,
                                      reopens |-> TRUE]]
    /\ UNCHANGED <<parent, settling, deaths>>

-----------------------------------------------------------------------------
(* Settle *)

Becomes(s, state) == settling' = [settling EXCEPT ![s] = state]

\* First it reopens. The parent is read before the mark of the child ...
ReadToReopen(s) ==
    /\ settling[s].step = "rests"
    /\ \E c \in Children : child[c].reopens
    /\ Becomes(s, [Resting EXCEPT !.step = "looks", !.fence = parent.fence])
    /\ UNCHANGED <<parent, child, deaths>>

FindMark(s) ==
    /\ settling[s].step = "looks"
    /\ \/ \E c \in Children :
            /\ child[c].reopens
            /\ Becomes(s, [settling[s] EXCEPT !.step = "reopens", !.child = c,
                                              !.generation = child[c].generation])
       \/ (\A c \in Children : ~ child[c].reopens) /\ Becomes(s, Resting)
    /\ UNCHANGED <<parent, child, deaths>>

\* ... and written only if nobody has written it since.
Reopen(s) ==
    /\ settling[s].step = "reopens"
    /\ IF parent.fence = settling[s].fence
       THEN /\ parent' = [status |-> "processing", fence |-> parent.fence + 1]
            /\ Becomes(s, [settling[s] EXCEPT !.step = "unmarks"])
       ELSE Becomes(s, Resting) /\ UNCHANGED parent
    /\ UNCHANGED <<child, deaths>>

\* The mark goes last, and only the one that was seen.
Unmark(s) ==
    /\ settling[s].step = "unmarks"
    /\ LET c == settling[s].child IN
        child' = IF child[c].generation = settling[s].generation
                 THEN [child EXCEPT ![c].reopens = FALSE] ELSE child
    /\ Becomes(s, Resting)
    /\ UNCHANGED <<parent, deaths>>

\* Then it recounts. The parent is read before its children, and those not all at one moment.
ReadToRecount(s) ==
    /\ settling[s].step = "rests"
    /\ \A c \in Children : ~ child[c].reopens
    /\ parent.status = "processing"
    /\ Becomes(s, [Resting EXCEPT !.step = "counts", !.fence = parent.fence])
    /\ UNCHANGED <<parent, child, deaths>>

ReadChild(s, c) ==
    /\ settling[s].step = "counts" /\ c \notin settling[s].read
    /\ Becomes(s,
        IF child[c].status \notin Final THEN Resting
        ELSE [settling[s] EXCEPT
                !.read = @ \union {c},
                !.verdict = IF child[c].status = "completed" THEN @ ELSE "failed"])
    /\ UNCHANGED <<parent, child, deaths>>

Recount(s) ==
    /\ settling[s].step = "counts" /\ settling[s].read = Children
    /\ parent' = IF parent.status = "processing" /\ (Guarded => parent.fence = settling[s].fence)
                 THEN [status |-> settling[s].verdict, fence |-> parent.fence + 1]
                 ELSE parent
    /\ Becomes(s, Resting)
    /\ UNCHANGED <<child, deaths>>

SettlerDies(s) ==
    /\ deaths < MaxDeaths /\ deaths' = deaths + 1
    /\ settling[s].step # "rests"
    /\ Becomes(s, Resting)
    /\ UNCHANGED <<parent, child>>

Settle(s) ==
    \/ ReadToReopen(s) \/ FindMark(s) \/ Reopen(s) \/ Unmark(s)
    \/ ReadToRecount(s) \/ Recount(s) \/ \E c \in Children : ReadChild(s, c)

Next ==
    \/ \E c \in Children : Create(c) \/ End(c) \/ Retry(c)
    \/ \E s \in Settlers : Settle(s) \/ SettlerDies(s)

Spec == Init /\ [][Next]_vars

FairSpec == Spec /\ \A c \in Children : WF_vars(Create(c) \/ End(c))
                 /\ \A s \in Settlers : WF_vars(Settle(s))

Same == Permutations(Children) \union Permutations(Settlers)

-----------------------------------------------------------------------------

AllFinal == \A c \in Children : child[c].status \in Final
Marked == \E c \in Children : child[c].reopens
Verdict == IF \A c \in Children : child[c].status = "completed" THEN "completed" ELSE "failed"

TypeOK == parent.status \in Final \union {"processing"}

\* A final parent tells the truth, or a mark says that it does not.
ParentTrue == parent.status \in Final => Marked \/ (AllFinal /\ parent.status = Verdict)

\* A final parent changes for a retry, and for nothing else.
OnlyReopened == [][parent.status \in Final =>
    parent' = parent \/ (Marked /\ parent'.status = "processing")]_vars

OnlyRises == [][parent' = parent \/ parent'.fence > parent.fence]_vars

EndsTrue == <>[](AllFinal /\ parent.status = Verdict)
=============================================================================
