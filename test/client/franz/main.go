// franz-go against a broker.  test/prilldclients.test tells the modes.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var ctx = context.Background()

func check(err error) {
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
}

func client(address string, opts ...kgo.Opt) *kgo.Client {
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(address)}, opts...)...)
	check(err)
	return cl
}

func all(address, topic string) {
	base := client(address)
	adm := kadm.NewClient(base)
	hour := "3600000"
	_, err := adm.CreateTopic(ctx, 3, -1, map[string]*string{"retention.ms": &hour}, topic)
	check(err)
	d, err := adm.ListTopics(ctx, topic)
	check(err)
	fmt.Println("created", len(d[topic].Partitions))
	total := 0
	codecs := []struct {
		name string
		c    kgo.CompressionCodec
	}{{"none", kgo.NoCompression()}, {"gzip", kgo.GzipCompression()}, {"snappy", kgo.SnappyCompression()},
		{"lz4", kgo.Lz4Compression()}, {"zstd", kgo.ZstdCompression()}}
	for _, codec := range codecs {
		p := client(address, kgo.ProducerBatchCompression(codec.c), kgo.ProducerLinger(20*time.Millisecond),
			kgo.RecordPartitioner(kgo.ManualPartitioner()))
		var recs []*kgo.Record
		for i := 0; i < 100; i++ {
			recs = append(recs, &kgo.Record{Topic: topic, Partition: int32(i % 3), Key: []byte(fmt.Sprintf("k%d", i)),
				Value:   []byte(fmt.Sprintf("value %d that repeats and repeats", total)),
				Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}}})
			total++
		}
		check(p.ProduceSync(ctx, recs...).FirstErr())
		p.Close()
		fmt.Println("produced", codec.name, 100)
	}
	var ts [3]int64
	from := map[int32]kgo.Offset{}
	for i := int32(0); i < 3; i++ {
		from[i] = kgo.NewOffset().AtStart()
	}
	c := client(address, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	n, wrong := 0, 0
	var next [3]int64
	values := map[string]bool{}
	for n < total {
		fs := c.PollFetches(ctx)
		check(fs.Err())
		fs.EachRecord(func(r *kgo.Record) {
			n++
			if r.Offset != next[r.Partition] || len(r.Headers) != 1 {
				wrong++
			}
			next[r.Partition]++
			if r.Offset == 50 {
				ts[r.Partition] = r.Timestamp.UnixMilli()
			}
			values[string(r.Value)] = true
		})
	}
	c.Close()
	fmt.Println("consumed", n, "values", len(values), "wrong", wrong)
	ends, err := adm.ListEndOffsets(ctx, topic)
	check(err)
	end := int64(0)
	ends.Each(func(o kadm.ListedOffset) { end += o.Offset })
	fmt.Println("end", end)
	ok := true
	for i := int32(0); i < 3; i++ {
		at, err := adm.ListOffsetsAfterMilli(ctx, ts[i], topic)
		check(err)
		o, _ := at.Lookup(topic, i)
		ok = ok && o.Timestamp >= ts[i] && o.Offset <= 50
	}
	fmt.Println("by time", ok)
	late, err := adm.ListOffsetsAfterMilli(ctx, time.Now().UnixMilli()+1000000, topic)
	check(err)
	o, _ := late.Lookup(topic, 0)
	e, _ := ends.Lookup(topic, 0)
	fmt.Println("by late time", o.Offset == e.Offset)
	admin(adm, topic)
	base.Close()
}

func admin(adm *kadm.Client, topic string) {
	two := "7200000"
	rs, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &two}}, topic)
	check(err)
	check(rs[0].Err)
	cs, err := adm.DescribeTopicConfigs(ctx, topic)
	check(err)
	for _, c := range cs[0].Configs {
		if c.Key == "retention.ms" {
			fmt.Println("config", *c.Value)
		}
	}
	ps, err := adm.UpdatePartitions(ctx, 4, topic)
	check(err)
	for _, r := range ps {
		check(r.Err)
	}
	d, err := adm.ListTopics(ctx, topic)
	check(err)
	fmt.Println("partitions", len(d[topic].Partitions))
	var before kadm.Offsets
	before.AddOffset(topic, 0, 5, -1)
	del, err := adm.DeleteRecords(ctx, before)
	check(err)
	low, _ := del.Lookup(topic, 0)
	check(low.Err)
	fmt.Println("start", low.LowWatermark)
	var commit kadm.Offsets
	commit.AddOffset(topic, 0, 7, -1)
	check(adm.CommitAllOffsets(ctx, topic+"-g", commit))
	groups, err := adm.ListGroups(ctx)
	check(err)
	_, listed := groups[topic+"-g"]
	offsets, err := adm.FetchOffsets(ctx, topic+"-g")
	check(err)
	at, _ := offsets.Lookup(topic, 0)
	fmt.Println("group", listed, at.At)
	dg, err := adm.DeleteGroups(ctx, topic+"-g")
	check(err)
	for _, r := range dg {
		check(r.Err)
	}
	brokers, err := adm.ListBrokers(ctx)
	check(err)
	fmt.Println("cluster", len(brokers))
	_, err = adm.CreateTopic(ctx, 1, 1, nil, topic+"-gone")
	check(err)
	dt, err := adm.DeleteTopics(ctx, topic+"-gone")
	check(err)
	for _, r := range dt {
		check(r.Err)
	}
	ts, err := adm.ListTopics(ctx)
	check(err)
	fmt.Println("deleted", !ts.Has(topic+"-gone"))
	_, err = adm.CreateTopic(ctx, 1, 1, nil, topic)
	if ke, is := err.(*kerr.Error); is {
		fmt.Println("again", ke.Message)
	} else {
		fmt.Println("again", err)
	}
}

func member(address, topic, group, assignor string) {
	mine := map[int32]bool{}
	var mu sync.Mutex
	tell := func() {
		var s []string
		for p := range mine {
			s = append(s, fmt.Sprint(p))
		}
		sort.Strings(s)
		fmt.Println("assigned", strings.Join(s, ","))
	}
	change := func(on bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, m map[string][]int32) {
			mu.Lock()
			defer mu.Unlock()
			for _, p := range m[topic] {
				if on {
					mine[p] = true
				} else {
					delete(mine, p)
				}
			}
			tell()
		}
	}
	b := kgo.RangeBalancer()
	if assignor == "cooperative" {
		b = kgo.CooperativeStickyBalancer()
	}
	cl := client(address, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.Balancers(b), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(1500*time.Millisecond), kgo.HeartbeatInterval(200*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(change(true)), kgo.OnPartitionsRevoked(change(false)), kgo.OnPartitionsLost(change(false)))
	stop, cancel := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	for stop.Err() == nil {
		fs := cl.PollFetches(stop)
		mu.Lock()
		fs.EachRecord(func(r *kgo.Record) { fmt.Println("got", r.Partition, r.Offset) })
		mu.Unlock()
		cl.CommitUncommittedOffsets(ctx)
	}
	cl.Close()
	fmt.Println("left")
}

func lost(address, topic string) {
	p := client(address, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for i := 0; i < 3; i++ {
		check(p.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(fmt.Sprintf("lost %d", i))}).FirstErr())
	}
	fmt.Println("sent", 3)
}

func main() {
	a := os.Args
	switch a[1] {
	case "all":
		all(a[2], a[3])
	case "member":
		member(a[2], a[3], a[4], a[5])
	case "lost":
		lost(a[2], a[3])
	}
}
