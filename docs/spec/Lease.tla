------------------------------- MODULE Lease -------------------------------
(***************************************************************************)
(* The way of contexts between MongoDB, bridges, broker and workers, and   *)
(* what may go wrong on it. README.md beside this file says what is left   *)
(* out, and which function of the code each action stands for.             *)
(*                                                                         *)
(* There is no time: a lease stands or has run out, and what is scheduled  *)
(* may be due at any moment. Faults are counted: there are MaxFaults of    *)
(* them, of any kinds and at any moments. So "becomes final" means: once   *)
(* the faults have stopped.                                                *)
(***************************************************************************)
EXTENDS Naturals, FiniteSets, TLC

CONSTANTS
    Contexts,         \* the units of work
    Poison,           \* those that end the process that carries them out
    Parked,           \* those of a service that says `park`
    Bridges, Workers, \* processes
    Threads,          \* of each worker process
    MaxFaults,        \* of all kinds together
    MaxGeneration,    \* retries of each context by an operator
    MaxFailures,      \* `max_attempts` of each context
    QuarantineAfter,
    MaxCrashes,
    Fenced,           \* FALSE: no filter asks for a fence, a claim id or a token
    Tokened,          \* FALSE: no filter asks for the token of the start
    Rescued,          \* FALSE: nobody looks for leases that ran out
    ByRecord          \* FALSE: a pending context of the same fence counts as written back

VARIABLES
    doc,              \* the documents of the contexts
    messages,         \* what waits for the workers: a set, as it has no order
    claiming,         \* by bridge: what is claimed and not enqueued
    rescuing,         \* by bridge: what rescue has read of a context whose lease ran out
    run,              \* by thread: the context in its hands
    faults,           \* how many there have been
    calls,            \* how many were sent for each context: in all, and for its generation
    stale,            \* whether a write took place that was not its writer's to do
    lied              \* whether a worker took its write for done that was not

vars == <<doc, messages, claiming, rescuing, run, faults, calls, stale, lied>>

Slots == Workers \X (1 .. Threads)

Final == {"completed", "failed", "cancelled"}
InFlight == {"queued", "processing"}
Statuses == Final \union InFlight \union {"pending", "scheduled"}

\* TRANSITIONS of agent/models.py, without those that README.md leaves out.
Legal == {
    <<"pending", "queued">>, <<"queued", "processing">>,
    <<"processing", "completed">>, <<"processing", "scheduled">>, <<"processing", "failed">>,
    <<"queued", "pending">>, <<"processing", "pending">>, <<"scheduled", "pending">>,
    <<"pending", "cancelled">>, <<"scheduled", "cancelled">>, <<"queued", "cancelled">>,
    <<"processing", "cancelled">>,
    <<"failed", "pending">>, <<"cancelled", "pending">>}

None == 0
NoLease == [claim |-> None, token |-> None, out |-> FALSE]
NoResult == 99

New == [status |-> "pending", fence |-> 0, lease |-> NoLease, attempt |-> 0, failures |-> 0,
        crashes |-> 0, generation |-> 0, error |-> "none", result |-> NoResult]

\* In the hands of a bridge.
Nothing == [context |-> None, claim |-> None, token |-> None, status |-> "none"]

\* In the hands of a thread.
Idle == [phase |-> "idle", context |-> None, fence |-> 0, claim |-> None, token |-> None,
         generation |-> 0, alone |-> FALSE, kind |-> "none", applied |-> FALSE]

Init ==
    /\ doc = [c \in Contexts |-> New]
    /\ messages = {}
    /\ claiming = [b \in Bridges |-> Nothing]
    /\ rescuing = [b \in Bridges |-> Nothing]
    /\ run = [s \in Slots |-> Idle]
    /\ faults = 0
    /\ calls = [c \in Contexts |-> [all |-> 0, own |-> 0]]
    /\ stale = FALSE
    /\ lied = FALSE

Fault == faults < MaxFaults /\ faults' = faults + 1

Put(c, changed) == doc' = [doc EXCEPT ![c] = changed]

\* A claim id or a token is unique for ever; here one that nothing refers to any more is as good.
Used ==
    {doc[c].lease.claim : c \in Contexts} \union {doc[c].lease.token : c \in Contexts}
    \union {m.claim : m \in messages}
    \union {claiming[b].claim : b \in Bridges}
    \union {rescuing[b].claim : b \in Bridges} \union {rescuing[b].token : b \in Bridges}
    \union {run[s].claim : s \in Slots} \union {run[s].token : s \in Slots}
Fresh == LET used == Used IN CHOOSE n \in 1 .. 99 : n \notin used

-----------------------------------------------------------------------------
(* Bridges. Any number may work at once: the lead is left out. *)

\* One guarded write; its claim id tells afterwards whose it was.
Claim(b, c) ==
    /\ claiming[b] = Nothing
    /\ doc[c].status = "pending"
    /\ LET id == Fresh IN
        /\ Put(c, [doc[c] EXCEPT !.status = "queued", !.fence = @ + 1,
                                 !.lease = [claim |-> id, token |-> None, out |-> FALSE]])
        /\ claiming' = [claiming EXCEPT ![b] = [Nothing EXCEPT !.context = c, !.claim = id]]
    /\ UNCHANGED <<messages, rescuing, run, faults, calls, stale, lied>>

Message(c) == [context |-> c, fence |-> doc[c].fence, claim |-> doc[c].lease.claim]

\* What was claimed is read back by its claim id, and its message put into the broker.
Enqueue(b) ==
    /\ claiming[b] # Nothing
    /\ LET c == claiming[b].context IN
        messages' = IF doc[c].status = "queued" /\ doc[c].lease.claim = claiming[b].claim
                    THEN messages \union {Message(c)}
                    ELSE messages
    /\ claiming' = [claiming EXCEPT ![b] = Nothing]
    /\ UNCHANGED <<doc, rescuing, run, faults, calls, stale, lied>>

\* In doubt whether the broker has lost something, all that is queued is put there again.
EnqueueAgain ==
    /\ Fault
    /\ LET again == {Message(c) : c \in {c \in Contexts : doc[c].status = "queued"}} IN
        /\ ~ again \subseteq messages
        /\ messages' = messages \union again
    /\ UNCHANGED <<doc, claiming, rescuing, run, calls, stale, lied>>

\* Rescue reads ...
ExpiredLeases(b, c) ==
    /\ Rescued
    /\ rescuing[b] = Nothing
    /\ doc[c].status \in InFlight /\ doc[c].lease.out
    /\ rescuing' = [rescuing EXCEPT ![b] =
            [context |-> c, claim |-> doc[c].lease.claim, token |-> doc[c].lease.token,
             status |-> doc[c].status]]
    /\ UNCHANGED <<doc, messages, claiming, run, faults, calls, stale, lied>>

\* ... and writes, if it still is that lease, and still run out.
Rescue(b) ==
    /\ rescuing[b] # Nothing
    /\ LET seen == rescuing[b]
           c == seen.context
           d == doc[c]
           same == d.lease.claim = seen.claim /\ d.lease.token = seen.token /\ d.lease.out
           back == [d EXCEPT !.lease = NoLease]
           crashed == [back EXCEPT !.crashes = @ + 1]
       IN IF ~ (d.status = seen.status /\ (Fenced => same))
          THEN UNCHANGED <<doc, stale>>
          ELSE /\ stale' = (stale \/ ~ same)
               /\ Put(c,
                    IF d.status = "queued" THEN [back EXCEPT !.status = "pending"]
                    ELSE IF c \in Parked
                    THEN [crashed EXCEPT !.status = "failed", !.error = "OutcomeUnknown"]
                    ELSE IF crashed.crashes >= MaxCrashes
                    THEN [crashed EXCEPT !.status = "failed", !.error = "PoisonContext"]
                    ELSE [crashed EXCEPT !.status = "scheduled"])
    /\ rescuing' = [rescuing EXCEPT ![b] = Nothing]
    /\ UNCHANGED <<messages, claiming, run, faults, calls, lied>>

Promote(c) ==
    /\ doc[c].status = "scheduled"
    /\ Put(c, [doc[c] EXCEPT !.status = "pending"])
    /\ UNCHANGED <<messages, claiming, rescuing, run, faults, calls, stale, lied>>

-----------------------------------------------------------------------------
(* Workers *)

\* The filter of a start, its `_id` aside.
IsClaimed(r) ==
    /\ doc[r.context].status = "queued"
    /\ Fenced => doc[r.context].fence = r.fence /\ doc[r.context].lease.claim = r.claim

\* The filter of every later write: processing, and in the hands of this run.
IsStarted(r) ==
    /\ doc[r.context].status = "processing"
    /\ Fenced => /\ doc[r.context].fence = r.fence
                 /\ Tokened => doc[r.context].lease.token = r.token

\* Whether that is true, whatever the filters ask for.
IsOwn(r) == doc[r.context].fence = r.fence /\ doc[r.context].lease.token = r.token

Started(r) ==
    [doc[r.context] EXCEPT !.status = "processing", !.attempt = @ + 1,
                           !.lease = [claim |-> r.claim, token |-> r.token, out |-> FALSE]]

\* Guarded write and read-back; a run that did not start it drops its message.
Begin(s, r) ==
    LET d == IF IsClaimed(r) THEN Started(r) ELSE doc[r.context]
        wrong == doc[r.context].fence # r.fence \/ doc[r.context].lease.claim # r.claim
    IN /\ Put(r.context, d)
       /\ run' = [run EXCEPT ![s] =
            IF IsClaimed(r) \/ IsStarted(r)
            THEN [r EXCEPT !.phase = "started", !.generation = d.generation,
                           !.alone = d.crashes >= QuarantineAfter]
            ELSE Idle]
       /\ stale' = (stale \/ (IsClaimed(r) /\ wrong))
       /\ UNCHANGED <<claiming, rescuing, calls, lied>>

Order(m) == [Idle EXCEPT !.phase = "starting", !.context = m.context, !.fence = m.fence,
                         !.claim = m.claim, !.token = Fresh]

\* A message that a process has fetched is still in `messages`: it is all the same until the start.
Start(s) ==
    \/ /\ run[s].phase = "idle"
       /\ \E m \in messages : Begin(s, Order(m)) /\ messages' = messages \ {m}
       /\ UNCHANGED faults
    \/ /\ run[s].phase = "starting"
       /\ Begin(s, run[s])
       /\ UNCHANGED <<messages, faults>>

\* The broker will deliver the message once more.
StartDoubled(s) ==
    /\ Fault
    /\ run[s].phase = "idle"
    /\ \E m \in messages : Begin(s, Order(m))
    /\ UNCHANGED messages

\* The answer to the write is lost: `Start` comes again, under the same token.
StartUnanswered(s) ==
    /\ Fault
    /\ run[s].phase = "idle"
    /\ \E m \in messages :
        LET r == Order(m) IN
        /\ IsClaimed(r)
        /\ Put(r.context, Started(r))
        /\ run' = [run EXCEPT ![s] = r]
        /\ messages' = messages \ {m}
    /\ UNCHANGED <<claiming, rescuing, calls, stale, lied>>

\* A message that comes while the process stops.
ReleaseQueued ==
    /\ Fault
    /\ \E m \in messages :
        /\ IsClaimed(Order(m))
        /\ Put(m.context, [doc[m.context] EXCEPT !.status = "pending", !.lease = NoLease])
        /\ messages' = messages \ {m}
    /\ UNCHANGED <<claiming, rescuing, run, calls, stale, lied>>

\* From here on the Base service may have done the work.
Send(s) ==
    /\ run[s].phase = "started"
    /\ run' = [run EXCEPT ![s].phase = "called"]
    /\ LET c == run[s].context
           own == IF run[s].generation = doc[c].generation THEN 1 ELSE 0
       IN calls' = [calls EXCEPT ![c] = [all |-> @.all + 1, own |-> @.own + own]]
    /\ UNCHANGED <<doc, messages, claiming, rescuing, faults, stale, lied>>

\* A lease that ran out and was not taken yet is renewed all the same.
Beat(s) ==
    /\ run[s].phase \in {"started", "called"}
    /\ IsStarted(run[s]) /\ doc[run[s].context].lease.out
    /\ Put(run[s].context, [doc[run[s].context] EXCEPT !.lease.out = FALSE])
    /\ stale' = (stale \/ ~ IsOwn(run[s]))
    /\ UNCHANGED <<messages, claiming, rescuing, run, faults, calls, lied>>

\* What may come of a call.
Kinds(r) ==
    CASE r.phase = "settling" -> {r.kind}
      [] r.phase = "called" /\ r.context \notin Poison -> {"completed", "failed", "retry"}
      [] r.phase = "called" /\ r.context \in Poison /\ r.alone -> {"poison"}
      [] OTHER -> {}

\* The document that the write of an outcome leaves.
Written(r, kind) ==
    LET back == [doc[r.context] EXCEPT !.lease = NoLease]
        ended == [back EXCEPT !.crashes = 0]
        failed == [ended EXCEPT !.failures = @ + 1]
    IN CASE kind = "completed" -> [ended EXCEPT !.status = "completed", !.result = r.generation]
         [] kind = "failed" -> [ended EXCEPT !.status = "failed", !.error = "Refused"]
         [] kind = "poison" -> [ended EXCEPT !.status = "failed", !.error = "PoisonContext"]
         [] kind = "retry" -> IF failed.failures >= MaxFailures
                              THEN [failed EXCEPT !.status = "failed", !.error = "Refused"]
                              ELSE [failed EXCEPT !.status = "scheduled"]
         [] kind = "released" -> [back EXCEPT !.status = "pending"]

Write(r, kind) == Put(r.context, Written(r, kind)) /\ stale' = (stale \/ ~ IsOwn(r))

\* The last write of a run. One that matches nothing is read back: it took place before, or is stale.
Settle(s, kind) ==
    LET r == run[s]
        d == doc[r.context]
        mistaken == ~ ByRecord /\ d.status = "pending" /\ d.fence = r.fence
    IN /\ IF IsStarted(r)
          THEN Write(r, kind) /\ UNCHANGED lied
          ELSE /\ lied' = (lied \/ (mistaken /\ ~ r.applied /\ kind # "released"))
               /\ UNCHANGED <<doc, stale>>
       /\ run' = [run EXCEPT ![s] = Idle]
       /\ UNCHANGED <<messages, claiming, rescuing, calls>>

Finish(s) == \E kind \in Kinds(run[s]) : Settle(s, kind) /\ UNCHANGED faults

\* It takes place, and its answer is lost.
FinishUnanswered(s) ==
    /\ Fault
    /\ \E kind \in Kinds(run[s]) :
        /\ IsStarted(run[s])
        /\ Write(run[s], kind)
        /\ run' = [run EXCEPT ![s] = [@ EXCEPT !.phase = "settling", !.kind = kind,
                                               !.applied = TRUE]]
    /\ UNCHANGED <<messages, claiming, rescuing, calls, lied>>

\* The process stops before anything was sent.
Release(s) == Fault /\ run[s].phase = "started" /\ Settle(s, "released")

Dead(w) == run' = [s \in Slots |-> IF s[1] = w THEN Idle ELSE run[s]]

\* Outside of quarantine a poison takes its process along, with all that runs there.
Kill(s) ==
    /\ run[s].phase = "called" /\ run[s].context \in Poison /\ ~ run[s].alone
    /\ Dead(s[1])
    /\ UNCHANGED <<doc, messages, claiming, rescuing, faults, calls, stale, lied>>

-----------------------------------------------------------------------------
(* Operators *)

Cancel(c) ==
    /\ doc[c].status \notin Final
    /\ Put(c, [doc[c] EXCEPT !.status = "cancelled", !.lease = NoLease])
    /\ UNCHANGED <<messages, claiming, rescuing, run, faults, calls, stale, lied>>

Retry(c) ==
    /\ doc[c].status \in {"failed", "cancelled"} /\ doc[c].generation < MaxGeneration
    /\ Put(c, [doc[c] EXCEPT !.status = "pending", !.generation = @ + 1, !.failures = 0,
                             !.crashes = 0, !.error = "none"])
    /\ calls' = [calls EXCEPT ![c].own = 0]
    /\ UNCHANGED <<messages, claiming, rescuing, run, faults, stale, lied>>

-----------------------------------------------------------------------------
(* Time, and what else goes wrong *)

WorkerDies(w) ==
    /\ Fault
    /\ \E s \in Slots : s[1] = w /\ run[s] # Idle
    /\ Dead(w)
    /\ UNCHANGED <<doc, messages, claiming, rescuing, calls, stale, lied>>

BridgeDies(b) ==
    /\ Fault
    /\ claiming[b] # Nothing
    /\ claiming' = [claiming EXCEPT ![b] = Nothing]
    /\ rescuing' = [rescuing EXCEPT ![b] = Nothing]
    /\ UNCHANGED <<doc, messages, run, calls, stale, lied>>

MessagesLost ==
    /\ Fault
    /\ \E lost \in SUBSET messages : lost # {} /\ messages' = messages \ lost
    /\ UNCHANGED <<doc, claiming, rescuing, run, calls, stale, lied>>

\* Nobody is left who could start it, renew its lease or write it back.
Orphaned(c) ==
    /\ \A m \in messages : m.claim # doc[c].lease.claim
    /\ \A b \in Bridges : claiming[b].claim # doc[c].lease.claim
    /\ doc[c].lease.token = None \/ \A s \in Slots : run[s].token # doc[c].lease.token

RunOut(c) ==
    /\ doc[c].status \in InFlight /\ ~ doc[c].lease.out
    /\ Put(c, [doc[c] EXCEPT !.lease.out = TRUE])
    /\ UNCHANGED <<messages, claiming, rescuing, run, calls, stale, lied>>

LeaseRunsOut(c) == Orphaned(c) /\ RunOut(c) /\ UNCHANGED faults

\* Its owner lives, and is slow, stopped or cut off; or its message waits for too long.
LeaseRunsOutEarly(c) == ~ Orphaned(c) /\ Fault /\ RunOut(c)

-----------------------------------------------------------------------------

Works ==
    \/ \E b \in Bridges : Enqueue(b) \/ Rescue(b)
    \/ \E b \in Bridges, c \in Contexts : Claim(b, c) \/ ExpiredLeases(b, c)
    \/ \E s \in Slots : Start(s) \/ Send(s) \/ Finish(s) \/ Kill(s)
    \/ \E c \in Contexts : Promote(c) \/ LeaseRunsOut(c)

GoesWrong ==
    \/ EnqueueAgain \/ MessagesLost \/ ReleaseQueued
    \/ \E b \in Bridges : BridgeDies(b)
    \/ \E w \in Workers : WorkerDies(w)
    \/ \E c \in Contexts : LeaseRunsOutEarly(c)
    \/ \E s \in Slots : \/ StartDoubled(s) \/ StartUnanswered(s) \/ FinishUnanswered(s)
                        \/ Release(s)

Next ==
    \/ Works
    \/ \E s \in Slots : Beat(s)
    \/ \E c \in Contexts : Cancel(c) \/ Retry(c)
    \/ GoesWrong

Spec == Init /\ [][Next]_vars

\* All that is assumed: the system does not stand still for ever while any part of it can go on.
FairSpec == Spec /\ WF_vars(Works)

Same == Permutations(Bridges) \union Permutations(Workers)

-----------------------------------------------------------------------------
(* What must hold in every state *)

TypeOK == \A c \in Contexts :
    /\ doc[c].status \in Statuses
    /\ doc[c].generation \in 0 .. MaxGeneration
    /\ doc[c].failures \in 0 .. MaxFailures
    /\ doc[c].crashes \in 0 .. MaxCrashes

\* In flight, and only then, it has a lease that can run out.
NoneLost == \A c \in Contexts :
    /\ doc[c].status \in InFlight <=> doc[c].lease.claim # None
    /\ doc[c].status = "processing" <=> doc[c].lease.token # None

NoStaleChange == ~ stale

\* What is completed holds the result of a call of its own generation.
ResultIsOwn == \A c \in Contexts : doc[c].status = "completed" => doc[c].result = doc[c].generation

CallsAreAttempts == \A c \in Contexts : calls[c].all <= doc[c].attempt

\* Mail is not sent twice on a guess: again in one generation only after a reply that allows it.
ParkedCalledOnce == \A c \in Parked : calls[c].own <= doc[c].failures + 1

NoneBlamed == \A c \in Contexts \ Poison : doc[c].error # "PoisonContext"

ReportsTrue == ~ lied

(* What must hold of every step *)

OnlyLegal == [][\A c \in Contexts :
    doc'[c].status = doc[c].status \/ <<doc[c].status, doc'[c].status>> \in Legal]_vars

OnlyRises == [][\A c \in Contexts :
    /\ doc'[c].fence >= doc[c].fence
    /\ doc'[c].attempt >= doc[c].attempt
    /\ doc'[c].generation >= doc[c].generation
    /\ doc[c].status # "queued" /\ doc'[c].status = "queued" => doc'[c].fence > doc[c].fence
    /\ doc[c].status # "processing" /\ doc'[c].status = "processing"
        => doc'[c].attempt > doc[c].attempt]_vars

\* At most one completion in a generation, since none follows it.
OneCompletion == [][\A c \in Contexts :
    doc[c].status = "completed" =>
        /\ doc'[c].status = "completed"
        /\ doc'[c].result = doc[c].result
        /\ doc'[c].generation = doc[c].generation]_vars

(* What must come *)

EachBecomesFinal == \A c \in Contexts : <>[](doc[c].status \in Final)
=============================================================================
