// sarama against a broker.  test/prilldclients.test tells the modes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

func check(err error) {
	if err != nil {
		fmt.Println("failed", err)
		os.Exit(1)
	}
}

func config() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V3_6_0_0
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Partitioner = sarama.NewManualPartitioner
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	return c
}

func all(address, topic string) {
	addrs := []string{address}
	adm, err := sarama.NewClusterAdmin(addrs, config())
	check(err)
	hour := "3600000"
	check(adm.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1,
		ConfigEntries: map[string]*string{"retention.ms": &hour}}, false))
	cl, err := sarama.NewClient(addrs, config())
	check(err)
	ps, err := cl.Partitions(topic)
	check(err)
	fmt.Println("created", len(ps))
	total := 0
	codecs := []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy,
		sarama.CompressionLZ4, sarama.CompressionZSTD}
	for _, codec := range codecs {
		c := config()
		c.Producer.Compression = codec
		p, err := sarama.NewSyncProducer(addrs, c)
		check(err)
		var ms []*sarama.ProducerMessage
		for i := 0; i < 100; i++ {
			ms = append(ms, &sarama.ProducerMessage{Topic: topic, Partition: int32(i % 3),
				Key:     sarama.StringEncoder(fmt.Sprintf("k%d", i)),
				Value:   sarama.StringEncoder(fmt.Sprintf("value %d that repeats and repeats", total)),
				Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte("x")}}})
			total++
		}
		check(p.SendMessages(ms))
		check(p.Close())
		fmt.Println("produced", codec, 100)
	}
	consumer, err := sarama.NewConsumerFromClient(cl)
	check(err)
	n, wrong, end := 0, 0, int64(0)
	ok := true
	values := map[string]bool{}
	for i := int32(0); i < 3; i++ {
		newest, err := cl.GetOffset(topic, i, sarama.OffsetNewest)
		check(err)
		end += newest
		pc, err := consumer.ConsumePartition(topic, i, sarama.OffsetOldest)
		check(err)
		var at time.Time
		for next := int64(0); next < newest; next++ {
			m := <-pc.Messages()
			n++
			if m.Offset != next || len(m.Headers) != 1 {
				wrong++
			}
			if m.Offset == 50 {
				at = m.Timestamp
			}
			values[string(m.Value)] = true
		}
		check(pc.Close())
		off, err := cl.GetOffset(topic, i, at.UnixMilli())
		check(err)
		ok = ok && off <= 50 && off >= 0
	}
	fmt.Println("consumed", n, "values", len(values), "wrong", wrong)
	fmt.Println("end", end)
	fmt.Println("by time", ok)
	late, err := cl.GetOffset(topic, 0, time.Now().UnixMilli()+1000000)
	check(err)
	fmt.Println("by late time", late == -1)
	admin(adm, cl, topic)
}

func admin(adm sarama.ClusterAdmin, cl sarama.Client, topic string) {
	two := "7200000"
	check(adm.IncrementalAlterConfig(sarama.TopicResource, topic, map[string]sarama.IncrementalAlterConfigsEntry{
		"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &two}}, false))
	es, err := adm.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	check(err)
	for _, e := range es {
		if e.Name == "retention.ms" {
			fmt.Println("config", e.Value)
		}
	}
	check(adm.CreatePartitions(topic, 4, nil, false))
	check(cl.RefreshMetadata(topic))
	ps, err := cl.Partitions(topic)
	check(err)
	fmt.Println("partitions", len(ps))
	check(adm.DeleteRecords(topic, map[int32]int64{0: 5}))
	oldest, err := cl.GetOffset(topic, 0, sarama.OffsetOldest)
	check(err)
	fmt.Println("start", oldest)
	om, err := sarama.NewOffsetManagerFromClient(topic+"-g", cl)
	check(err)
	pom, err := om.ManagePartition(topic, 0)
	check(err)
	pom.MarkOffset(7, "note")
	om.Commit()
	check(pom.Close())
	check(om.Close())
	groups, err := adm.ListConsumerGroups()
	check(err)
	_, listed := groups[topic+"-g"]
	off, err := adm.ListConsumerGroupOffsets(topic+"-g", map[string][]int32{topic: {0}})
	check(err)
	fmt.Println("group", listed, off.GetBlock(topic, 0).Offset)
	check(adm.DeleteConsumerGroup(topic + "-g"))
	brokers, _, err := adm.DescribeCluster()
	check(err)
	fmt.Println("cluster", len(brokers))
	check(adm.CreateTopic(topic+"-gone", &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false))
	check(adm.DeleteTopic(topic + "-gone"))
	ts, err := adm.ListTopics()
	check(err)
	_, still := ts[topic+"-gone"]
	fmt.Println("deleted", !still)
	err = adm.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	var te *sarama.TopicError
	if errors.As(err, &te) && te.Err == sarama.ErrTopicAlreadyExists {
		fmt.Println("again", "ErrTopicAlreadyExists")
	} else {
		fmt.Println("again", err)
	}
}

type handler struct{ topic string }

var out sync.Mutex

func tell(w ...interface{}) {
	out.Lock()
	fmt.Println(w...)
	out.Unlock()
}

func (h handler) Setup(s sarama.ConsumerGroupSession) error {
	var l []string
	for _, p := range s.Claims()[h.topic] {
		l = append(l, fmt.Sprint(p))
	}
	sort.Strings(l)
	tell("assigned", strings.Join(l, ","))
	return nil
}
func (h handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (h handler) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-c.Messages():
			if !ok {
				return nil
			}
			tell("got", m.Partition, m.Offset)
			s.MarkMessage(m, "")
			s.Commit()
		case <-s.Context().Done():
			return nil
		}
	}
}

func member(address, topic, group string) {
	c := config()
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Group.Session.Timeout = 1500 * time.Millisecond
	c.Consumer.Group.Rebalance.Retry.Backoff = 100 * time.Millisecond
	c.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	g, err := sarama.NewConsumerGroup([]string{address}, group, c)
	check(err)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	for ctx.Err() == nil {
		if err := g.Consume(ctx, []string{topic}, handler{topic}); err != nil {
			tell("error", err)
			time.Sleep(100 * time.Millisecond)
		}
	}
	check(g.Close())
	tell("left")
}

func lost(address, topic string) {
	p, err := sarama.NewSyncProducer([]string{address}, config())
	check(err)
	for i := 0; i < 3; i++ {
		_, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprintf("lost %d", i))})
		check(err)
	}
	fmt.Println("sent", 3)
}

func main() {
	a := os.Args
	switch a[1] {
	case "all":
		all(a[2], a[3])
	case "member":
		member(a[2], a[3], a[4])
	case "lost":
		lost(a[2], a[3])
	}
}
