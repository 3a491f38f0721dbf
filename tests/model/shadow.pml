/* The shadow protocol of one message among two or three hubs: acceptance with a copy, delivery, discard, take-over, return,
 * audit and background protection, under crashes, lost disks, partitions, lost replies and late copies. Both ownership modes.
 * docs/model.md says what is left out and which function each action stands for. Run by tests/model/run, which sets:
 *
 *   HUBS 2|3      MAJORITY: ownership by majority (else pairwise)
 *   CRASHES, LOSSES (disks), CUTS (partitions), REPLIES (lost replies), RESTORES (old backups): how many of each at most
 *   V_...         one step of the protocol done wrong: the check must then fail
 *
 * One process, one action at a time: every action is a commit, an exchange on a session, a deadline or a fault. Nothing is enabled
 * that changes nothing, so the end (timeout) is reached when all is healed and all is done; "settles" says that it always is.
 */
#ifndef HUBS
#define HUBS 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef LOSSES
#define LOSSES 0
#endif
#ifndef CUTS
#define CUTS 0
#endif
#ifndef REPLIES
#define REPLIES 0
#endif
#ifndef RESTORES
#define RESTORES 0
#endif
#define MOST (HUBS / 2 + 1)

#define AT(a, b) ((a) * HUBS + (b))
#define BIT(h) (1 << (h))
#if HUBS == 2
#define EACH(M) M(0) M(1)
#define PAIRS(M) M(0, 1) M(1, 0)
#define ANY(M, h) (M(h, 0) || M(h, 1))
#define SUM(M, h) (M(h, 0) + M(h, 1))
#define LINKS(M) M(0, 1)
#else
#define EACH(M) M(0) M(1) M(2)
#define PAIRS(M) M(0, 1) M(1, 0) M(0, 2) M(2, 0) M(1, 2) M(2, 1)
#define ANY(M, h) (M(h, 0) || M(h, 1) || M(h, 2))
#define SUM(M, h) (M(h, 0) + M(h, 1) + M(h, 2))
#define LINKS(M) M(0, 1) M(0, 2) M(1, 2)
#endif

/* What a spool holds of the message. */
#define NONE 0
#define OWN 1
#define SHADOW 2
byte row[HUBS], gen[HUBS];
byte hold[HUBS]; /* own: hubs that were offered a copy; shadow: those that its owner named */
byte sure[HUBS]; /* own: of these, the ones that said that they hold it; shadow: hubs that this one owes the "done" of its time as owner */
byte form[HUBS]; /* own: of these, former owners not heard of since */
byte own_hub[HUBS], own_spool[HUBS], own_epoch[HUBS]; /* shadow: who offered it */
byte out[HUBS], out_gen[HUBS];                        /* hubs that are owed the discard, under which generation */
byte spool[HUBS], epoch[HUBS], seq[HUBS];
byte mem_spool[HUBS * HUBS], mem_epoch[HUBS * HUBS]; /* of another hub: its spool, the lowest epoch accepted from it */
byte mem_heard[HUBS * HUBS];                         /* the epoch it was heard in last: a vote stands while this is lower */
byte mem_seq[HUBS * HUBS];
bit stranger[HUBS]; /* majority: lost its disk; neither votes nor grants */

/* What ends with the process. */
bit up[HUBS], pending[HUBS];
byte back[HUBS]; /* 1 asks who owns its mail, 2 gave up asking (unsettled) */
byte said[HUBS]; /* what it was told: 1 own, 2 cede, 3 finish, 4 none of the holders answers */
byte said_by[HUBS], said_gen[HUBS], said_spool[HUBS], said_sure[HUBS], said_gone[HUBS];
byte dot[HUBS];  /* 1 final dot sent, 2 the next hop has answered it, 3 (wrong variant) guard asked, dot not sent */
byte take[HUBS]; /* 1 former run fenced, 2 everybody asked, 3 told "pending", commit under way */
bit recover[HUBS];
byte buried[HUBS]; /* generation that was discarded or forgotten here lately */
byte tries[HUBS];
bit met[HUBS * HUBS], cut[HUBS * HUBS];
bit promise[HUBS * HUBS]; /* [owner, other]: the owner may rely on the other's lease */
bit heard[HUBS * HUBS];   /* [holder, owner]: the holder's clock for that owner has not run out */

/* Copies on their way: [from, to]. 1 the sender waits for the reply, 2 it does not any more. */
byte copy[HUBS * HUBS], copy_gen[HUBS * HUBS], copy_epoch[HUBS * HUBS], copy_to[HUBS * HUBS];
byte late[HUBS * HUBS], late_gen[HUBS * HUBS], late_epoch[HUBS * HUBS], late_to[HUBS * HUBS];

/* The acceptance, always at hub 0: 0 not begun, 1 under way, 2 given up (own row gone, "forget" to be told), 3 over. */
byte accept;
byte stored; /* own commit: 1 done */
byte offered; /* hubs */
bit held, gone_offer; /* ... and one of them has come with another spool since */
#define OK 1
#define REFUSED 2
#define CLOSED 3
byte client; /* what it was answered */

byte delivered; /* to the recipient, by anybody; stops at 3 */
bit excused;    /* a second one has a reason that the invariants name */
bit counted;    /* ... was counted as possible duplicate before it happened */
bit told;       /* a holder has durably dropped its copy as done */
bit acknowledged, all_done;
byte crashes = CRASHES, losses = LOSSES, cuts = CUTS, replies = REPLIES, restores = RESTORES;

/* An older state of hub 0's spool. */
bit saved;
byte old_row, old_gen, old_hold, old_sure, old_out, old_epoch, old_seq;

hidden byte was, i, j, best, who, knows;

#define REACH(a, b) (met[AT(a, b)] && !cut[AT(a, b)] && up[a] && up[b])
#define MAY_REACH(a, b) (up[a] && up[b] && !cut[AT(a, b)])
#define REPLACED(h, x) (mem_spool[AT(h, x)] != spool[x])

#if RESTORES
#define COMMIT(h) seq[h]++; tell_sequence(h)
#else
#define COMMIT(h) skip
#endif

inline tell_sequence(h) {
  i = 0;
  do
  :: i < HUBS -> if :: i != h && met[AT(h, i)] && !cut[AT(h, i)] -> mem_seq[AT(i, h)] = seq[h] :: else fi; i++
  :: else -> break
  od;
  i = 0
}

/* --- the next hop */

inline reach_recipient(h) {
  if
  :: delivered > 0 -> assert(excused || counted)
  :: else
  fi;
  /* After 451 nothing is delivered. */
  assert(client != REFUSED);
  if :: delivered < 3 -> delivered++ :: else fi
}

/* --- a process ends. The socket buffers of others keep what it sent; what was sent to it goes. */

inline end_run(h) {
  if
  :: dot[h] == 1 -> /* the octets may have left, or not */
    if :: reach_recipient(h); excused = 1 :: skip fi
  :: dot[h] == 2 -> if :: told -> skip :: else -> excused = 1 fi
  :: else
  fi;
  pending[h] = 0; back[h] = 0; dot[h] = 0; take[h] = 0; recover[h] = 0; buried[h] = 0; tries[h] = 0;
  said[h] = 0; said_by[h] = 0; said_gen[h] = 0; said_spool[h] = 0; said_sure[h] = 0; said_gone[h] = 0;
  if
  :: h == 0 && accept != 3 ->
    if :: accept > 0 -> client = CLOSED :: else -> client = CLOSED fi;
    accept = 3; offered = 0; held = 0; gone_offer = 0; stored = 0
  :: else
  fi;
  i = 0;
  do
  :: i < HUBS ->
    met[AT(h, i)] = 0; met[AT(i, h)] = 0; promise[AT(h, i)] = 0;
    if :: copy[AT(h, i)] == 1 && up[i] -> late[AT(h, i)] = 1; late_gen[AT(h, i)] = copy_gen[AT(h, i)];
         late_epoch[AT(h, i)] = copy_epoch[AT(h, i)]; late_to[AT(h, i)] = copy_to[AT(h, i)]
    :: else fi;
    copy[AT(h, i)] = 0; copy_gen[AT(h, i)] = 0; copy_epoch[AT(h, i)] = 0; copy_to[AT(h, i)] = 0;
    late[AT(i, h)] = 0; late_gen[AT(i, h)] = 0; late_epoch[AT(i, h)] = 0; late_to[AT(i, h)] = 0;
    if :: copy[AT(i, h)] -> copy[AT(i, h)] = 2 :: else fi;
    i++
  :: else -> break
  od
}

inline begin_run(h) {
  epoch[h]++;
  COMMIT(h);
  up[h] = 1;
#ifdef V_DELIVER_BEFORE_ASKING
  back[h] = 0;
#else
  if :: row[h] == OWN -> back[h] = 1 :: else fi;
#endif
  i = 0;
  do
  :: i < HUBS ->
#ifdef V_HOLDER_RETURNS_LATE
    heard[AT(h, i)] = 0;
#else
    heard[AT(h, i)] = (i != h); /* restart grace */
#endif
    i++
  :: else -> break
  od
}

inline lose_disk(h) {
  /* "Done" had not left it yet. */
  if :: out[h] != 0 -> excused = 1 :: else fi;
  row[h] = NONE; gen[h] = 0; hold[h] = 0; sure[h] = 0; form[h] = 0; out[h] = 0; out_gen[h] = 0;
  own_hub[h] = 0; own_spool[h] = 0; own_epoch[h] = 0;
  spool[h]++; epoch[h] = 0; seq[h] = 0; stranger[h] = 1;
  i = 0;
  do
  :: i < HUBS -> mem_spool[AT(h, i)] = 0; mem_epoch[AT(h, i)] = 0; mem_heard[AT(h, i)] = 0; mem_seq[AT(h, i)] = 0; i++
  :: else -> break
  od
}

/* --- sessions: Members::heard_hello, accept_identity */

inline learn(b, a) {
  if
  :: mem_spool[AT(b, a)] != spool[a] ->
    if :: b == 0 && (offered & BIT(a)) -> gone_offer = 1 :: else fi;
    /* What was held there, and owed to it, went with the old spool. */
    if :: row[b] == OWN -> hold[b] = hold[b] & (255 - BIT(a)); sure[b] = sure[b] & (255 - BIT(a)); form[b] = form[b] & (255 - BIT(a))
    :: else fi;
    out[b] = out[b] & (255 - BIT(a)); out_gen[b] = (out[b] -> out_gen[b] : 0);
    mem_spool[AT(b, a)] = spool[a]; mem_epoch[AT(b, a)] = epoch[a]; mem_seq[AT(b, a)] = seq[a]
  :: else ->
    if :: epoch[a] > mem_epoch[AT(b, a)] -> mem_epoch[AT(b, a)] = epoch[a] :: else fi;
    if :: seq[a] > mem_seq[AT(b, a)] -> mem_seq[AT(b, a)] = seq[a] :: else fi
  fi;
  mem_heard[AT(b, a)] = epoch[a];
  if :: row[b] == OWN -> form[b] = form[b] & (255 - BIT(a)) :: else fi;
  heard[AT(b, a)] = 1;
  promise[AT(a, b)] = 1;
  met[AT(b, a)] = 1
}

#define FENCED(b, a) (mem_spool[AT(b, a)] == spool[a] && epoch[a] < mem_epoch[AT(b, a)])
#ifdef V_SEQUENCE_BACK
#define ROLLED_BACK(b, a) (0)
#else
#define ROLLED_BACK(b, a) (RESTORES && mem_spool[AT(b, a)] == spool[a] && epoch[a] != mem_heard[AT(b, a)] && seq[a] < mem_seq[AT(b, a)])
#endif

#define MEET(a, b)                                                                                             \
  :: atomic { MAY_REACH(a, b) && !met[AT(a, b)] ->                                                              \
     if                                                                                                        \
     :: ROLLED_BACK(b, a) -> end_run(a); lose_disk(a); begin_run(a)                                             \
     :: !ROLLED_BACK(b, a) && ROLLED_BACK(a, b) -> end_run(b); lose_disk(b); begin_run(b)                        \
     :: else ->                                                                                                \
       if                                                                                                      \
       :: FENCED(b, a) -> end_run(a); begin_run(a)                                                              \
       :: !FENCED(b, a) && FENCED(a, b) -> end_run(b); begin_run(b)                                              \
       :: else -> learn(a, b); learn(b, a)                                                                      \
       fi                                                                                                      \
     fi }

/* Heartbeat of a to b: Members::heard_beat. A run that was ended gets 554 and begins the next one. */
#define BEAT(a, b)                                                                                             \
  :: atomic { REACH(a, b) && (!promise[AT(a, b)] || !heard[AT(b, a)]) ->                                         \
     if :: FENCED(b, a) -> end_run(a); begin_run(a)                                                             \
     :: else -> promise[AT(a, b)] = 1; heard[AT(b, a)] = 1 fi }

/* Time: the one who relies on a lease stops first (cluster/lease.h). A lease that nobody relies on may stay. */
#define SHADOW_OF(b, a) (row[b] == SHADOW && own_hub[b] == (a))
#ifdef MAJORITY
#define MATTERS(a, b) (row[a] != NONE || ANY_SHADOW_OF(a))
#else
#define MATTERS(a, b) ((row[a] == OWN && (hold[a] & BIT(b))) || SHADOW_OF(b, a) || (row[b] != NONE && (hold[b] & BIT(a))))
#endif
#if HUBS == 3
#define ANY_SHADOW_OF(a) (SHADOW_OF(0, a) || SHADOW_OF(1, a) || SHADOW_OF(2, a))
#else
#define ANY_SHADOW_OF(a) (SHADOW_OF(0, a) || SHADOW_OF(1, a))
#endif
#define RUN_OUT(a, b)                                                                                          \
  :: d_step { up[a] && promise[AT(a, b)] && !REACH(a, b) && MATTERS(a, b) -> promise[AT(a, b)] = 0 }             \
  :: d_step { up[b] && heard[AT(b, a)] && !promise[AT(a, b)] && !MAY_REACH(a, b) && MATTERS(a, b) -> heard[AT(b, a)] = 0 }
#define RUN_OUT_EARLY(a, b)                                                                                    \
  :: d_step { up[b] && heard[AT(b, a)] && !MAY_REACH(a, b) -> heard[AT(b, a)] = 0 }

/* --- acceptance: MessageAcceptor::Incoming::make_safe, conclude; Copier::copy, forget */

inline send_copy(f, t, to) {
  copy[AT(f, t)] = 1; copy_gen[AT(f, t)] = gen[f]; copy_epoch[AT(f, t)] = epoch[f]; copy_to[AT(f, t)] = to
}

#define CAN_OFFER(x) (x < HUBS && REACH(0, x) && promise[AT(0, x)] && !(offered & BIT(x)))
#define WAITS_FOR_COPY (copy[AT(0, 1)] == 1 || (HUBS > 2 && copy[AT(0, HUBS - 1)] == 1))

/* One writer commits in the order of what it was given (storage/group_commit): what comes later waits for the own commit. */
#define WRITES(x) (!((x) == 0 && accept == 1 && stored == 0))

/* --- a copy comes: ShadowKeeper::refuse, store; SpoolWriter::insert_shadow */

#ifdef V_NO_BURIAL
#define BURIED(x, g) (0)
#else
#define BURIED(x, g) (g <= buried[x])
#endif
#define TAKES(f, x, g, e)                                                                                      \
  (!FENCED_RUN(x, f, e) && !BURIED(x, g) && row[x] != OWN &&                                                     \
   (row[x] == NONE || gen[x] < g || (gen[x] == g && own_hub[x] == f && own_spool[x] == spool[f])))
#define FENCED_RUN(x, f, e) (mem_spool[AT(x, f)] != spool[f] || e < mem_epoch[AT(x, f)])

/* A take-over whose commit is under way finds that its shadow has gone. */
#define END_TAKE(x) take[x] = (take[x] >= 3 -> 4 : 0); recover[x] = 0

inline store(f, x, g, e, to) {
  was = row[x]; row[x] = SHADOW; gen[x] = g; own_hub[x] = f; own_spool[x] = spool[f]; own_epoch[x] = e; hold[x] = to;
  if :: was != SHADOW -> sure[x] = 0 :: else -> sure[x] = sure[x] & (255 - BIT(f)) fi;
  form[x] = 0; END_TAKE(x);
  COMMIT(x)
}

inline clear_copy(f, x) { copy[AT(f, x)] = 0; copy_gen[AT(f, x)] = 0; copy_epoch[AT(f, x)] = 0; copy_to[AT(f, x)] = 0 }
inline clear_late(f, x) { late[AT(f, x)] = 0; late_gen[AT(f, x)] = 0; late_epoch[AT(f, x)] = 0; late_to[AT(f, x)] = 0 }

inline is_held(f, x) {
  if
  :: f == 0 && accept == 1 -> held = 1
  :: else -> if :: row[f] == OWN && gen[f] == copy_gen[AT(f, x)] -> sure[f] = sure[f] | BIT(x); COMMIT(f) :: else fi
  fi
}
inline is_refused(f, x) {
  if :: f == 0 && accept == 1 -> offered = offered & (255 - BIT(x)) :: else fi
}

/* The reply comes, or is lost. A reply too late is like a lost one. */
#define COPY_COMES(f, x)                                                                                       \
  :: atomic { copy[AT(f, x)] == 1 && REACH(f, x) && WRITES(x) ->                                                             \
     if                                                                                                        \
     :: TAKES(f, x, copy_gen[AT(f, x)], copy_epoch[AT(f, x)]) ->                                                 \
       STORE_IT(f, x)                                                                                          \
       if                                                                                                      \
       :: is_held(f, x); clear_copy(f, x)                                                                       \
       :: replies > 0 -> replies--; clear_copy(f, x)                                                            \
       fi                                                                                                      \
     :: else -> is_refused(f, x); clear_copy(f, x)                                                              \
     fi }                                                                                                      \
  :: d_step { copy[AT(f, x)] != 0 && (copy[AT(f, x)] == 2 || !REACH(f, x)) ->                                     \
     /* No reply: the octets may still be read by the other side later. */                                      \
     if :: up[x] && copy[AT(f, x)] == 1 -> late[AT(f, x)] = 1; late_gen[AT(f, x)] = copy_gen[AT(f, x)];            \
          late_epoch[AT(f, x)] = copy_epoch[AT(f, x)]; late_to[AT(f, x)] = copy_to[AT(f, x)]                      \
     :: else fi;                                                                                               \
     clear_copy(f, x) }                                                                                        \
  :: d_step { late[AT(f, x)] && up[x] && WRITES(x) && TAKES(f, x, late_gen[AT(f, x)], late_epoch[AT(f, x)]) ->                  \
     store(f, x, late_gen[AT(f, x)], late_epoch[AT(f, x)], late_to[AT(f, x)]); clear_late(f, x) }                \
  :: d_step { late[AT(f, x)] -> clear_late(f, x) }
#ifdef V_REPLY_BEFORE_COMMIT
#define STORE_IT(f, x) if :: store(f, x, copy_gen[AT(f, x)], copy_epoch[AT(f, x)], copy_to[AT(f, x)]) \
  :: crashes > 0 -> late[AT(f, x)] = 1; late_gen[AT(f, x)] = copy_gen[AT(f, x)]; late_epoch[AT(f, x)] = copy_epoch[AT(f, x)]; \
     late_to[AT(f, x)] = copy_to[AT(f, x)] fi;
#else
#define STORE_IT(f, x) store(f, x, copy_gen[AT(f, x)], copy_epoch[AT(f, x)], copy_to[AT(f, x)]);
#endif

/* --- delivery: Peering::may_deliver, Connection, Recorder */

#define STALE(h, x) ((hold[h] & BIT(x)) && !promise[AT(h, x)] && !(form[h] & BIT(x)))
#define STALE_AND_REACHABLE(h, x) (STALE(h, x) && MAY_REACH(h, x))
#define GRANTS(h, x) ((x) == (h) -> !stranger[h] : promise[AT(h, x)])
#ifdef MAJORITY
#define LEASED(h) (SUM(GRANTS, h) >= MOST)
#else
#define LEASED(h) (1)
#endif
#define FREE(h) (up[h] && row[h] == OWN && back[h] != 1 && dot[h] == 0 && !pending[h])
#ifdef MAJORITY
/* A majority's lease is the guard; what is unsettled waits. */
#define MAY_SEND(h) (FREE(h) && back[h] == 0 && LEASED(h))
#define GO(h) skip
#else
#define MAY_SEND(h) (FREE(h) && !ANY(STALE_AND_REACHABLE, h))
#define GO(h) if :: ANY(STALE, h) || back[h] == 2 -> counted = 1 :: else fi
#endif
#ifdef V_GUARD_ONCE
#define SEND(h)                                                                                                \
  :: d_step { MAY_SEND(h) -> GO(h); dot[h] = 3 }                                                                 \
  :: d_step { up[h] && dot[h] == 3 -> dot[h] = 1 }
#else
#define SEND(h) :: d_step { MAY_SEND(h) -> GO(h); dot[h] = 1 }
#endif

inline finish(h, except) {
  out[h] = out[h] | (hold[h] & (255 - (except)) & (255 - BIT(h)));
  out_gen[h] = (out[h] -> gen[h] : 0);
  row[h] = NONE; gen[h] = 0; hold[h] = 0; sure[h] = 0; form[h] = 0; back[h] = 0; said[h] = 0;
  said_by[h] = 0; said_gen[h] = 0; said_spool[h] = 0; said_sure[h] = 0; said_gone[h] = 0;
  COMMIT(h)
}

#ifdef V_DISCARD_BEFORE_DURABLE
#define PUSH_EARLY(h, x) :: d_step { dot[h] == 2 && row[h] == OWN && (hold[h] & BIT(x)) && REACH(h, x) && row[x] == SHADOW -> told = 1; drop_shadow(x, 0) }
#else
#define PUSH_EARLY(h, x)
#endif

#define DELIVERY(h)                                                                                            \
  SEND(h)                                                                                                      \
  :: d_step { up[h] && dot[h] == 1 -> reach_recipient(h); dot[h] = 2 }                                           \
  :: d_step { up[h] && dot[h] == 2 -> dot[h] = 0; if :: row[h] == OWN -> finish(h, 0) :: else fi }

inline drop_shadow(x, from) {
  out[x] = out[x] | (sure[x] & (255 - (from)) & (255 - BIT(x))); /* SpoolWriter::pass_on */
  out_gen[x] = (out[x] -> gen[x] : 0);
  row[x] = NONE; gen[x] = 0; hold[x] = 0; sure[x] = 0; own_hub[x] = 0; own_spool[x] = 0; own_epoch[x] = 0; END_TAKE(x);
  COMMIT(x)
}

/* Discard: DiscardPusher::push, ShadowKeeper::discard, SpoolWriter::apply_discard. A lost reply: it is pushed again. */
#define PUSH(h, x)                                                                                             \
  PUSH_EARLY(h, x)                                                                                             \
  :: atomic { (out[h] & BIT(x)) && REACH(h, x) && !REPLACED(h, x) && WRITES(x) ->                                             \
     told = 1;                                                                                                 \
     if :: buried[x] < out_gen[h] -> buried[x] = out_gen[h] :: else fi;                                                                                            \
     if                                                                                                        \
     :: row[x] == SHADOW -> drop_shadow(x, BIT(h))                                                                      \
     :: row[x] == OWN -> finish(x, BIT(h))                                                                      \
     :: else                                                                                                   \
     fi;                                                                                                       \
     if                                                                                                        \
     :: out[h] = out[h] & (255 - BIT(x)); out_gen[h] = (out[h] -> out_gen[h] : 0); COMMIT(h)                                                             \
     :: replies > 0 -> replies--                                                                               \
     fi }

/* --- questions: ShadowKeeper::ask; what h is told by y */

/* A run that was ended is not answered (554): it has to come as the next one, and to be heard as such. */
#ifdef V_ENDED_RUN_MAY_ASK
#define ASKS(h, y) REACH(h, y)
#else
#define ASKS(h, y) (REACH(h, y) && !FENCED(y, h))
#endif
#ifdef V_UNKNOWN_WHILE_PENDING
#define PENDING(y) (0)
#else
#define PENDING(y) (pending[y])
#endif
#define WAITING(y) (row[y] == OWN && (dot[y] == 1 || dot[y] == 2))
#define DONE(y) (row[y] == NONE && !PENDING(y) && out[y] != 0)
#define SAYS_DONE(h, y) ((y) != (h) && ASKS(h, y) && DONE(y))
#define SAYS_LATER(h, y) ((y) != (h) && ASKS(h, y) && !PENDING(y) && row[y] != NONE && gen[y] > gen[h])
#define SAYS_WAIT(h, y)                                                                                        \
  ((y) != (h) && ASKS(h, y) && (PENDING(y) || WAITING(y) ||                                                     \
   (row[y] == SHADOW && gen[y] == gen[h] && own_hub[y] == own_hub[h] && own_spool[y] == own_spool[h] && (y) < (h))))

/* --- take-over: Guardian::take_over_from, decide, take; cluster::decide_takeover */

#define GONE(h, o) (mem_spool[AT(h, o)] != own_spool[h] || !heard[AT(h, o)])
/* Still gone, and the run that was fenced is still the last one that was heard of. */
#ifdef V_STALE_DECISION
#define STILL_GONE(h, o) GONE(h, o)
#else
#define STILL_GONE(h, o) (GONE(h, o) && ENDED(h, o))
#endif
#define ENDED(h, o) (mem_spool[AT(h, o)] != own_spool[h] || mem_epoch[AT(h, o)] > mem_heard[AT(h, o)])
#define HAS_VOTED(h, y, o) ((((y) == (h)) || REACH(h, y)) && (y) != (o) && !stranger[y] && \
  (mem_spool[AT(y, o)] != own_spool[h] || (mem_epoch[AT(y, o)] > mem_heard[AT(y, o)] && mem_epoch[AT(y, o)] >= mem_epoch[AT(h, o)])))
#ifdef MAJORITY
#if HUBS == 3
#define VOTED(h, o) (HAS_VOTED(h, 0, o) + HAS_VOTED(h, 1, o) + HAS_VOTED(h, 2, o) >= MOST)
#else
#define VOTED(h, o) (HAS_VOTED(h, 0, o) + HAS_VOTED(h, 1, o) >= MOST)
#endif
#define MAY_TAKE(h) LEASED(h)
#ifdef V_TAKE_WITHOUT_VOTES
#define MAY_ASK(h, o) (1)
#else
#define MAY_ASK(h, o) VOTED(h, o)
#endif
#else
#define MAY_ASK(h, o) (1)
#define MAY_TAKE(h) (1)
#endif
#ifdef MAJORITY
/* Each hub votes for itself, whether it holds anything or not. */
#define VOTE(h, o) :: d_step { up[h] && (h) != (o) && !stranger[h] && !heard[AT(h, o)] && mem_epoch[AT(h, o)] == mem_heard[AT(h, o)] && mem_heard[AT(h, o)] > 0 -> \
  mem_epoch[AT(h, o)]++; COMMIT(h) }
#else
#define VOTE(h, o)
#endif

#ifdef V_NO_GENERATION
#define NEXT_GENERATION(h) gen[h]
#else
#define NEXT_GENERATION(h) (gen[h] + 1)
#endif
#ifdef V_HOLDER_RETURNS_LATE
#define MUST_WAIT(h) (0)
#define IS_DONE(h) (0)
#define IS_LATER(h) (0)
#else
#define MUST_WAIT(h) (ANY(SAYS_WAIT, h) || ANY(UNHEARD, h))
#ifdef V_NAMED_NEED_NOT_ANSWER
#define UNHEARD(h, y) (0)
#else
/* Named in the copy, not gone, and no answer from it yet. */
#define UNHEARD(h, y) ((y) != (h) && (y) != own_hub[h] && (hold[h] & BIT(y)) && heard[AT(h, y)] && !ASKS(h, y))
#endif
#define IS_DONE(h) ANY(SAYS_DONE, h)
#define IS_LATER(h) ANY(SAYS_LATER, h)
#endif

inline ask_everybody(h) {
  if
  :: IS_DONE(h) -> drop_shadow(h, 0)
  :: !IS_DONE(h) && IS_LATER(h) -> /* SpoolWriter::follow_owner */
    i = 0; best = gen[h];
    do
    :: i < HUBS ->
      if
      :: i != h && ASKS(h, i) && !PENDING(i) && row[i] != NONE && gen[i] > best ->
        best = gen[i]; who = (row[i] == OWN -> i : own_hub[i]); knows = (row[i] == OWN -> spool[i] : own_spool[i])
      :: else
      fi;
      i++
    :: else -> break
    od;
    sure[h] = sure[h] & (255 - BIT(who)) & (255 - BIT(h));
    if
    :: sure[h] == 0 || who == h -> sure[h] = 0; drop_shadow(h, 0)
    :: else -> gen[h] = best; own_hub[h] = who; own_spool[h] = knows; own_epoch[h] = mem_heard[AT(h, who)]; END_TAKE(h); COMMIT(h)
    fi
  :: else ->
    /* Whoever has something of it is owed the "done". */
    i = 0;
    do
    :: i < HUBS -> if :: i != h && ASKS(h, i) && (row[i] != NONE || PENDING(i)) -> hold[h] = hold[h] | BIT(i) :: else fi; i++
    :: else -> break
    od;
    take[h] = 2
  fi
}

inline make_own(h) {
  /* Delivered and not told to anybody in reach when they were asked: nobody could know. */
  i = 0; knows = delivered > 0;
  do
  :: i < HUBS -> if :: i != h && (dot[i] == 1 || dot[i] == 2) -> knows = 1 :: else fi; i++
  :: else -> break
  od;
#ifdef V_HOLDER_RETURNS_LATE
  if :: knows && !ANY(SAYS_DONE, h) && !ANY(SAYS_LATER, h) -> excused = 1 :: else fi;
#else
  if :: knows -> excused = 1 :: else fi;
#endif
  gen[h] = NEXT_GENERATION(h);
  row[h] = OWN; sure[h] = 0;
  hold[h] = hold[h] & (255 - BIT(h));
  if
  :: !recover[h] && mem_spool[AT(h, own_hub[h])] == own_spool[h] -> hold[h] = hold[h] | BIT(own_hub[h]); form[h] = (ENDED(h, own_hub[h]) -> BIT(own_hub[h]) : 0)
  :: else -> form[h] = 0; hold[h] = hold[h] & (255 - BIT(own_hub[h]))
  fi;
  own_hub[h] = 0; own_spool[h] = 0; own_epoch[h] = 0; take[h] = 0; recover[h] = 0; pending[h] = 0;
  COMMIT(h)
}

#define TAKEOVER(h, o)                                                                                         \
  VOTE(h, o)                                                                                                   \
  :: d_step { up[h] && row[h] == SHADOW && own_hub[h] == o && take[h] == 0 && !pending[h] && GONE(h, o) && LAST_CONTACT(h, o) && MAY_ASK(h, o) -> \
     if :: !ENDED(h, o) && FENCE -> mem_epoch[AT(h, o)]++; COMMIT(h) :: else fi; take[h] = 1 }                    \
  :: atomic { up[h] && row[h] == SHADOW && own_hub[h] == o && take[h] == 1 && STILL_GONE(h, o) && MAY_ASK(h, o) &&       \
     (!MUST_WAIT(h) || IS_DONE(h) || IS_LATER(h)) -> ask_everybody(h) }                                         \
  :: d_step { up[h] && row[h] == SHADOW && own_hub[h] == o && (take[h] == 1 || take[h] == 2) && !recover[h] && !STILL_GONE(h, o) -> take[h] = 0 } \
  :: d_step { up[h] && row[h] == SHADOW && own_hub[h] == o && take[h] == 2 && (recover[h] || STILL_GONE(h, o)) -> pending[h] = 1; take[h] = 3 } \
  :: d_step { up[h] && row[h] == SHADOW && own_hub[h] == o && take[h] == 3 && MAY_TAKE(h) -> make_own(h) }
#define FENCE 1
#define LAST_CONTACT(h, o) (mem_spool[AT(h, o)] != own_spool[h] || !REACH(h, o))
#define TAKE_FAILS(h) :: d_step { up[h] && take[h] == 4 -> take[h] = 0; pending[h] = 0 }

/* A copy that nobody speaks of: Guardian::audit; cluster::decide_audit. */
#define ORPHAN(h, o) (row[o] == NONE && out[o] == 0 && own_epoch[h] == epoch[o])
#define AUDIT(h, o)                                                                                            \
  :: atomic { up[h] && row[h] == SHADOW && own_hub[h] == o && take[h] == 0 && ASKS(h, o) && mem_spool[AT(h, o)] == own_spool[h] && \
     !PENDING(o) && (DONE(o) || ORPHAN(h, o)) -> drop_shadow(h, 0) }                                               \
  :: atomic { up[h] && row[h] == SHADOW && own_hub[h] == o && take[h] == 0 && ASKS(h, o) && mem_spool[AT(h, o)] == own_spool[h] && \
     !PENDING(o) && !DONE(o) && !ORPHAN(h, o) &&                                                                \
     (row[o] == NONE || row[o] == SHADOW || (row[o] == OWN && !WAITING(o) && gen[o] < gen[h])) &&                  \
     (!MUST_WAIT(h) || IS_DONE(h) || IS_LATER(h)) -> recover[h] = 1; ask_everybody(h) }

/* --- return: Guardian::return_home, settle_returned; cluster::decide_return */

#define UNANSWERED(h, x) ((hold[h] & BIT(x)) && !(form[h] & BIT(x)) && !ASKS(h, x))
#define UNDECIDED(h, x) ((hold[h] & BIT(x)) && ASKS(h, x) && (PENDING(x) || WAITING(x)))
#define COULD_ANSWER(h, x) ((x) != (h) && MAY_REACH(h, x) && !ASKS(h, x))
#ifdef MAJORITY
#define MAY_RETURN(h) LEASED(h)
#else
#define MAY_RETURN(h) (1)
#endif

inline hear_return(h) {
  best = gen[h]; said[h] = 1; said_gone[h] = 0; said_sure[h] = 0;
  i = 0;
  do
  :: i < HUBS ->
    if
    :: i != h && ASKS(h, i) ->
      if
      :: PENDING(i)
      :: !PENDING(i) && row[i] == OWN ->
        if :: gen[i] > best && said[h] != 3 -> best = gen[i]; said[h] = 2; said_by[h] = i; said_gen[h] = gen[i]; said_spool[h] = spool[i]
        :: else fi
      :: !PENDING(i) && row[i] == SHADOW ->
        if :: gen[i] > best && said[h] != 3 -> best = gen[i]; said[h] = 2; said_by[h] = own_hub[i]; said_gen[h] = gen[i]; said_spool[h] = own_spool[i]
        :: else fi;
        if :: own_hub[i] == h && own_spool[i] == spool[h] -> said_sure[h] = said_sure[h] | BIT(i) :: else fi
      :: !PENDING(i) && row[i] == NONE && out[i] != 0 -> said[h] = 3; said_by[h] = i
      :: !PENDING(i) && row[i] == NONE && out[i] == 0 ->
        if :: !(form[h] & BIT(i)) -> said_gone[h] = said_gone[h] | BIT(i) :: else fi
      fi
    :: else
    fi;
    i++
  :: else -> break
  od
}

#define SETTLED_BY_ANY(h) (ANY(SAYS_DONE, h) || ANY(SAYS_LATER, h))
#ifdef MAJORITY
#define GIVE_UP(h)
#else
#define GIVE_UP(h)                                                                                             \
  :: d_step { up[h] && back[h] == 1 && row[h] == OWN && said[h] == 0 && !ANY(COULD_ANSWER, h) && !SETTLED_BY_ANY(h) && \
     ANY(UNANSWERED, h) && !ANY(UNDECIDED, h) -> back[h] = 2 }
#endif
#define RETURN(h)                                                                                              \
  :: atomic { up[h] && back[h] > 0 && row[h] == OWN && said[h] == 0 && !ANY(COULD_ANSWER, h) && dot[h] == 0 && MAY_RETURN(h) && \
     (SETTLED_BY_ANY(h) || (!ANY(UNANSWERED, h) && !ANY(UNDECIDED, h))) -> hear_return(h) }                       \
  GIVE_UP(h)                                                                                                   \
  :: d_step { up[h] && said[h] != 0 && row[h] == OWN && dot[h] != 0 -> said[h] = 0 }                             \
  :: atomic { up[h] && said[h] != 0 && row[h] == OWN && dot[h] == 0 ->                                           \
     if                                                                                                        \
     :: said[h] == 1 -> hold[h] = (hold[h] & (255 - said_gone[h])) | said_sure[h]; sure[h] = (sure[h] & (255 - said_gone[h])) | said_sure[h]; \
       back[h] = 0; COMMIT(h)                                                                                  \
     :: said[h] == 2 ->                                                                                        \
       CEDE(h)                                                                                                 \
     :: said[h] == 3 -> finish(h, BIT(said_by[h]))                                                              \
     fi;                                                                                                       \
     said[h] = 0; said_by[h] = 0; said_gen[h] = 0; said_spool[h] = 0; said_sure[h] = 0; said_gone[h] = 0 }
#ifdef V_CEDED_IS_DROPPED
#define CEDE(h) row[h] = NONE; gen[h] = 0; hold[h] = 0; sure[h] = 0; form[h] = 0; back[h] = 0; COMMIT(h)
#else
#define CEDE(h) row[h] = SHADOW; gen[h] = said_gen[h]; own_hub[h] = said_by[h]; own_spool[h] = said_spool[h]; \
  own_epoch[h] = mem_heard[AT(h, said_by[h])]; sure[h] = hold[h] & (255 - BIT(said_by[h])); form[h] = 0; back[h] = 0; COMMIT(h)
#endif

/* --- protection in the background: Copier::protect, protect_on; Guardian::holder_lost */

#define PROTECT(h, x)                                                                                          \
  :: d_step { up[h] && row[h] == OWN && !pending[h] && back[h] == 0 && sure[h] == 0 && tries[h] < 2 && REACH(h, x) && promise[AT(h, x)] && \
     copy[AT(h, x)] == 0 -> tries[h]++; hold[h] = hold[h] | BIT(x); COMMIT(h); send_copy(h, x, hold[h]) }        \
  :: d_step { HUBS > 2 && up[h] && row[h] == OWN && (sure[h] & BIT(x)) && !heard[AT(h, x)] -> sure[h] = sure[h] & (255 - BIT(x)); COMMIT(h) }

/* --- faults */

#define CRASH(h)                                                                                               \
  :: atomic { up[h] && crashes > 0 -> crashes--; end_run(h); up[h] = 0 }                                         \
  :: atomic { up[h] && losses > 0 -> losses--; end_run(h); up[h] = 0; lose_disk(h) }                             \
  :: atomic { !up[h] -> begin_run(h) }
#define CUT(a, b)                                                                                              \
  :: d_step { cuts > 0 && !cut[AT(a, b)] -> cuts--; cut[AT(a, b)] = 1; cut[AT(b, a)] = 1 }                       \
  :: d_step { cut[AT(a, b)] -> cut[AT(a, b)] = 0; cut[AT(b, a)] = 0 }
#if HUBS == 3
#define ISOLATE(h)                                                                                             \
  :: d_step { cuts > 0 && !cut[AT(h, (h + 1) % 3)] && !cut[AT(h, (h + 2) % 3)] -> cuts--;                        \
     cut[AT(h, (h + 1) % 3)] = 1; cut[AT((h + 1) % 3, h)] = 1; cut[AT(h, (h + 2) % 3)] = 1; cut[AT((h + 2) % 3, h)] = 1 }
#else
#define ISOLATE(h)
#endif

inline prepare() {
  i = 0;
  do
  :: i < HUBS ->
    up[i] = 1; epoch[i] = 1; spool[i] = 1;
    j = 0;
    do
    :: j < HUBS ->
      if
      :: i != j -> met[AT(i, j)] = 1; promise[AT(i, j)] = 1; heard[AT(i, j)] = 1; mem_spool[AT(i, j)] = 1; mem_epoch[AT(i, j)] = 1;
        mem_heard[AT(i, j)] = 1
      :: else
      fi;
      j++
    :: else -> break
    od;
    i++
  :: else -> break
  od;
#ifdef ACCEPTED
  /* Begin after the 250: hub 1 has the copy. */
  accept = 3; client = OK; acknowledged = 1;
  row[0] = OWN; gen[0] = 1; hold[0] = BIT(1); sure[0] = BIT(1);
  row[1] = SHADOW; gen[1] = 1; hold[1] = BIT(1); own_spool[1] = 1; own_epoch[1] = 1
#endif
}

#define IS_CLEAN(h) assert(row[h] == NONE && out[h] == 0 && !pending[h] && take[h] == 0 && dot[h] == 0);

init {
  d_step { prepare(); i = 0 };
  do
  /* The final dot of the client; hub 1 is offered the copy first. */
  :: d_step { accept == 0 && up[0] && CAN_OFFER(1) ->
       accept = 1; pending[0] = 1; offered = BIT(1); gen[0] = 1; send_copy(0, 1, BIT(1)) }
  :: d_step { accept == 0 && up[0] && !MAY_REACH(0, 1) -> accept = 3; client = CLOSED }
  :: d_step { accept == 1 && stored == 0 -> stored = 1; row[0] = OWN; gen[0] = 1; hold[0] = BIT(1); sure[0] = BIT(1); COMMIT(0) }
#ifdef V_ACKNOWLEDGE_BEFORE_COPY
  :: d_step { accept == 1 && stored == 1 -> client = OK; accept = 3; pending[0] = 0; acknowledged = 1 }
#else
  :: d_step { accept == 1 && stored == 1 && held ->
       if
       :: row[0] == OWN ->
         hold[0] = offered;
         sure[0] = offered; COMMIT(0); client = OK; acknowledged = 1;
         /* Invariant 1: durable on two hubs, or done already. */
         i = 0; knows = 0;
         do
         :: i < HUBS -> if :: row[i] != NONE -> knows++ :: else fi; i++
         :: else -> break
         od;
         assert(knows >= 2 || delivered > 0 || losses < LOSSES)
       :: else -> client = CLOSED
       fi;
       accept = 3; pending[0] = 0; offered = 0; held = 0; gone_offer = 0; stored = 0 }
#endif
#if HUBS > 2
  :: d_step { accept == 1 && !held && !WAITS_FOR_COPY && CAN_OFFER(2) -> offered = offered | BIT(2); send_copy(0, 2, offered) }
#endif
  :: d_step { accept == 1 && stored == 1 && !held && !WAITS_FOR_COPY && !CAN_OFFER(HUBS - 1) ->
       if :: row[0] == OWN -> row[0] = NONE; gen[0] = 0; hold[0] = 0; sure[0] = 0; COMMIT(0) :: else fi;
       accept = 2 }
  :: d_step { accept == 2 ->
       /* XFORGET to everybody who was offered it; 451 only when each has confirmed. */
       i = 1; knows = !gone_offer;
       do
       :: i < HUBS ->
         if
         :: (offered & BIT(i)) && REACH(0, i) ->
           if :: buried[i] < 1 -> buried[i] = 1 :: else fi;
           if :: row[i] == SHADOW && gen[i] <= 1 -> row[i] = NONE; gen[i] = 0; hold[i] = 0; sure[i] = 0; own_hub[i] = 0; own_spool[i] = 0; own_epoch[i] = 0; END_TAKE(i)
           :: else fi;
#ifndef V_FORGET_SAYS_YES_ALWAYS
           if :: row[i] == OWN || DONE(i) -> knows = 0 :: else fi
#else
           skip
#endif
         :: (offered & BIT(i)) && !REACH(0, i) -> knows = 0
         :: else
         fi;
         i++
       :: else -> break
       od;
#ifndef V_FORGET_SAYS_YES_ALWAYS
       /* "Done" was heard of it meanwhile (rule 4). */
       if :: buried[0] > 0 -> knows = 0 :: else fi;
#endif
#ifdef V_REFUSE_BEFORE_FORGOTTEN
       knows = 1;
#endif
       if :: knows -> client = REFUSED :: else -> client = CLOSED fi;
       accept = 3; pending[0] = 0; offered = 0; held = 0; gone_offer = 0; stored = 0 }

  PAIRS(COPY_COMES)
  EACH(DELIVERY)
  PAIRS(PUSH)
  PAIRS(TAKEOVER)
  PAIRS(AUDIT)
  EACH(RETURN)
  EACH(TAKE_FAILS)
  PAIRS(PROTECT)
  LINKS(MEET)
  PAIRS(BEAT)
#ifdef V_LEASE_RUNS_OUT_FIRST
  PAIRS(RUN_OUT)
  PAIRS(RUN_OUT_EARLY)
#else
  PAIRS(RUN_OUT)
#endif
  EACH(CRASH)
  LINKS(CUT)
  EACH(ISOLATE)
#if RESTORES
  :: d_step { !saved && up[0] -> saved = 1; old_row = row[0]; old_gen = gen[0]; old_hold = hold[0]; old_sure = sure[0]; old_out = out[0];
       old_epoch = epoch[0]; old_seq = seq[0] }
  /* Older than what a start itself commits: a younger backup is not recognised (docs/model.md). */
  :: atomic { saved && restores > 0 && up[0] && seq[0] > old_seq + 1 -> restores--; end_run(0); up[0] = 0; row[0] = old_row; gen[0] = old_gen; hold[0] = old_hold;
       sure[0] = old_sure; form[0] = 0; out[0] = old_out; own_hub[0] = 0; own_spool[0] = 0; own_epoch[0] = 0; epoch[0] = old_epoch; seq[0] = old_seq }
#endif
  :: timeout -> break
  od;
  skip;
  /* Everything is healed, and nothing is left to do. */
  d_step {
    assert(!acknowledged || delivered > 0);
    EACH(IS_CLEAN)
    all_done = 1
  }
}

#ifdef SETTLES
ltl settles { <> all_done }
#endif
#ifdef NO_LOSS
ltl no_loss { [] (acknowledged -> <> (delivered > 0)) }
#endif
