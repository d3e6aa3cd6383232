BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0002');
CREATE TABLE command (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	kind VARCHAR NOT NULL, 
	argument JSON NOT NULL, 
	created_at FLOAT NOT NULL, 
	done_at FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
CREATE TABLE completion (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	proposal_id INTEGER, 
	purpose VARCHAR NOT NULL, 
	turn INTEGER NOT NULL, 
	attempt INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	model VARCHAR NOT NULL, 
	parameters JSON NOT NULL, 
	messages JSON NOT NULL, 
	reply TEXT, 
	reasoning TEXT, 
	requests INTEGER NOT NULL, 
	reserved_cost FLOAT NOT NULL, 
	reserved_tokens INTEGER NOT NULL, 
	prompt_tokens INTEGER, 
	completion_tokens INTEGER, 
	cost FLOAT, 
	seconds FLOAT, 
	finish_reason VARCHAR, 
	error TEXT, 
	created_at FLOAT NOT NULL, 
	finished_at FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(proposal_id) REFERENCES proposal (id), 
	FOREIGN KEY(run_id) REFERENCES run (id), 
	UNIQUE (run_id, proposal_id, purpose, turn, attempt)
);
CREATE TABLE evaluation (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	program_id INTEGER NOT NULL, 
	proposal_id INTEGER, 
	purpose VARCHAR NOT NULL, 
	seed BIGINT NOT NULL, 
	attempt INTEGER NOT NULL, 
	state VARCHAR NOT NULL, 
	worker_id INTEGER, 
	claim VARCHAR, 
	kind VARCHAR, 
	error TEXT, 
	metrics JSON, 
	feedback TEXT, 
	measures JSON, 
	artifacts JSON, 
	private JSON, 
	rungs JSON, 
	output TEXT, 
	seconds FLOAT, 
	memory_mb FLOAT, 
	sandbox VARCHAR, 
	scoring_version VARCHAR NOT NULL, 
	created_at FLOAT NOT NULL, 
	started_at FLOAT, 
	finished_at FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(program_id) REFERENCES program (id), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "evaluation" VALUES(1,1,1,1,'seed',2,1,'scored',1,'d',NULL,NULL,'{"loss":0.5}',NULL,NULL,NULL,NULL,NULL,NULL,0.1,NULL,NULL,'4852cefa88ca44a2',1.1,1.2,1.3);
CREATE TABLE gene (
	id INTEGER NOT NULL, 
	hash BLOB NOT NULL, 
	source BLOB NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (hash)
);
INSERT INTO "gene" VALUES(1,X'1DE70BC15D424D4453E6C531451E490B',X'78203D20310A');
CREATE TABLE "lease" (
	run_id INTEGER NOT NULL, 
	fence INTEGER NOT NULL, 
	host VARCHAR, 
	boot VARCHAR, 
	pid INTEGER, 
	started BIGINT, 
	command VARCHAR, 
	renewed_at FLOAT NOT NULL, 
	version VARCHAR, 
	PRIMARY KEY (run_id), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
INSERT INTO "lease" VALUES(1,3,NULL,NULL,NULL,NULL,NULL,1.0,NULL);
CREATE TABLE lesson (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	evidence JSON NOT NULL, 
	state VARCHAR NOT NULL, 
	created_at FLOAT NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
CREATE TABLE parentage (
	child_id INTEGER NOT NULL, 
	parent_id INTEGER NOT NULL, 
	role VARCHAR NOT NULL, 
	PRIMARY KEY (child_id, parent_id), 
	FOREIGN KEY(child_id) REFERENCES program (id), 
	FOREIGN KEY(parent_id) REFERENCES program (id)
);
CREATE TABLE program (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	proposal_id INTEGER, 
	fingerprint VARCHAR NOT NULL, 
	generation INTEGER NOT NULL, 
	genome JSON NOT NULL, 
	size INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	FOREIGN KEY(run_id) REFERENCES run (id), 
	UNIQUE (run_id, fingerprint)
);
INSERT INTO "program" VALUES(1,1,1,'1:0295262dd375642ec46f4aa8470d45fa',0,'{"program.py": [1]}',6);
CREATE TABLE proposal (
	id INTEGER NOT NULL, 
	run_id INTEGER NOT NULL, 
	number INTEGER NOT NULL, 
	operator VARCHAR NOT NULL, 
	parents JSON NOT NULL, 
	state VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	worker_id INTEGER, 
	claim VARCHAR, 
	program_id INTEGER, 
	kind VARCHAR, 
	error TEXT, 
	summary TEXT, 
	created_at FLOAT NOT NULL, 
	finished_at FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(run_id) REFERENCES run (id), 
	UNIQUE (run_id, number)
);
INSERT INTO "proposal" VALUES(1,1,0,'seed','[]','accepted',1,1,'c',1,NULL,NULL,NULL,1.0,1.1);
CREATE TABLE "run" (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	seed_hash VARCHAR NOT NULL, 
	seed_name VARCHAR NOT NULL, 
	scoring_version VARCHAR NOT NULL, 
	settings JSON NOT NULL, 
	rng_seed BIGINT NOT NULL, 
	evaluation_seed BIGINT NOT NULL, 
	sandbox VARCHAR NOT NULL, 
	state VARCHAR NOT NULL, 
	reason TEXT, 
	seed_program_id INTEGER, 
	active_seconds FLOAT NOT NULL, 
	created_at FLOAT NOT NULL, 
	ended_at FLOAT, 
	PRIMARY KEY (id), 
	FOREIGN KEY(seed_hash) REFERENCES seed (hash), 
	UNIQUE (name)
);
INSERT INTO "run" VALUES(1,'calm-otter','e40dd4be3c8274f28598a7d1a1055c5d','tiny','4852cefa88ca44a2','{"budget":{"evaluations":1,"seconds":null,"target":null,"patience":null},"slots":1,"population":null,"operators":{}}',1,2,'process','finished','budget of 1 evaluations reached',NULL,1.5,1.0,NULL);
CREATE TABLE seed (
	hash VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	content BLOB NOT NULL, 
	PRIMARY KEY (hash)
);
INSERT INTO "seed" VALUES('e40dd4be3c8274f28598a7d1a1055c5d','tiny',X'789C8D91514BC33010C7BF4AB9278551BA217B18F830C517514470BECC51627A9D714D532FC9A02BFDEE5ED2B5EA9B6FB95F72C9EF9FEB408ABA50857008ABA48386B032A2E0F576374B80F0CB2B428DB5B391F50CA5A9AD23A146C688F7A9E5022014475179E10CFDFBC6A9232F558581777FB1359E64308402CBE4CCF162729F2516B1B85C25699ABED54162BC68CB02664F42A74D0B41A034A485E39D7928C89CB01EDD3E84CD395CA948332A4565F962A89456D1B503D9787BEEDC0FCB8C971AB5A136D7EF612B5B5C3132DE35DEE587809601B084446BA3D27C398060F5EB88457EBB8807B2340BF96BA16366A7EA366432EF9F289D3A0EC13A28F823B93621006855B3E809211A395232D0CA580BF139A5451C91238FFDEEC7E03CA4E98FB809EF5BDA3CDCBC3E3E3DDFAED79BC5FAE5EE1AFAA1C5F18B384DD36255E6561A8A68FC31EB9BC6901BC7E8843DC418D07F03D85EC6AD');
CREATE TABLE spending (
	run_id INTEGER NOT NULL, 
	cost FLOAT NOT NULL, 
	tokens BIGINT NOT NULL, 
	calls INTEGER NOT NULL, 
	reserved_cost FLOAT NOT NULL, 
	reserved_tokens BIGINT NOT NULL, 
	PRIMARY KEY (run_id), 
	FOREIGN KEY(run_id) REFERENCES run (id)
);
CREATE TABLE "worker" (
	id INTEGER NOT NULL, 
	host VARCHAR NOT NULL, 
	boot VARCHAR NOT NULL, 
	pid INTEGER NOT NULL, 
	started BIGINT NOT NULL, 
	queue VARCHAR NOT NULL, 
	slots INTEGER NOT NULL, 
	version VARCHAR NOT NULL, 
	created_at FLOAT NOT NULL, 
	heartbeat_at FLOAT NOT NULL, 
	ended_at FLOAT, 
	done INTEGER DEFAULT '0' NOT NULL, 
	failed INTEGER DEFAULT '0' NOT NULL, 
	per_minute FLOAT DEFAULT '0' NOT NULL, 
	note TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "worker" VALUES(1,'h','b',5,6,'evaluate',2,'0.1.0',1.0,2.0,NULL,0,0,0.0,NULL);
CREATE INDEX ix_command_run_id ON command (run_id);
CREATE INDEX ix_lesson_run_id ON lesson (run_id);
CREATE INDEX ix_program_proposal_id ON program (proposal_id);
CREATE INDEX proposal_open ON proposal (run_id, state) WHERE state IN ('pending', 'running');
CREATE INDEX ix_completion_proposal_id ON completion (proposal_id);
CREATE INDEX evaluation_open ON evaluation (run_id, state) WHERE state IN ('pending', 'running');
CREATE INDEX evaluation_run ON evaluation (run_id, purpose, state);
CREATE INDEX ix_evaluation_program_id ON evaluation (program_id);
CREATE INDEX ix_evaluation_proposal_id ON evaluation (proposal_id);
CREATE INDEX ix_parentage_parent_id ON parentage (parent_id);
COMMIT;
